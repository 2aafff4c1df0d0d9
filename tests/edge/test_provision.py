"""From a box that nobody knows to one of a centre's, over a real link to a real reception."""

import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from securesystemslib.signer import CryptoSigner
from structlog.testing import capture_logs
from tuf.api.metadata import Metadata, Targets, Timestamp

from central import invitations
from central.fleet import revoke
from central.invitations import Reception, admit_announced, invite
from central.publishing.ceremony import sign_root
from central.store.state import StateDir, Store, open_store
from edge import durable
from edge.config import load_base
from edge.errors import OperatorError, PeerError, WorldError
from edge.provision import provision
from edge.service import Home
from edge.state.trust import PushError, check_root
from edge.wire import curve, sealing
from edge.wire.provisioning import SPENT, Provisioning, fingerprint, write
from tests.central.ports import Centre

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A centre with its port, and a box on which nobody has done anything yet."""

    folder: Path
    store: Store
    state: StateDir
    port: Centre
    said: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "boot" / "sightline-provision.yaml"

    @property
    def home(self) -> Home:
        return Home(self.folder / "box")

    def invited(self, device: str = "gate-1", *, admit: bool = False, valid_h: float = 1.0) -> Provisioning:
        centre = invitations.Centre(
            curve_public=self.port.key.public,
            seal_public=sealing.make_or_load(self.state.seal_key).public,
            push=self.state.push,
        )
        now_ms = time.time_ns() // 1_000_000
        given = invite(self.store, centre, device, [self.port.endpoint], now_ms=now_ms, valid_h=valid_h, admit=admit)
        self.give(given)
        return given

    def give(self, given: Provisioning) -> None:
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_bytes(write(given))

    def provision(self, *, again: bool = False, say: Callable[[str], None] | None = None) -> None:
        provision(self.file, self.home.folder, say or self.said.append, again=again, answer_s=2)

    @property
    def keys(self) -> tuple[str, str]:
        return curve.make_or_load(self.home.curve_key).public, sealing.make_or_load(self.home.sealing_key).public


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    state = StateDir(tmp_path / "centre")
    store = open_store(state)
    now = datetime.fromtimestamp(time.time_ns() // 1_000_000_000, UTC)
    sign_root(state.push, tmp_path / "root.pem", state.push_keys / "online.pem", None, now=now)
    port = Centre(reception=Reception(store))
    with port.running():
        yield Site(tmp_path, store, state, port)
    store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_box_announces_itself_and_waits_to_be_admitted(site: Site) -> None:
    given = site.invited()
    site.provision()
    base = load_base(site.home.provisioned)
    assert (base.device.id, base.device.state) == ("gate-1", str(site.home.folder))
    assert (base.link.endpoints, base.link.centre_key) == (given.endpoints, given.centre_key)
    assert base.centre.sealing_key == given.sealing_key
    assert site.home.root.read_bytes() == given.root_bytes
    assert f"fingerprint  {fingerprint('gate-1', *site.keys)}" in site.said
    assert "sightline device admit gate-1" in site.said[-1]
    assert site.store.devices.device(site.keys[0]) is None
    admitted = admit_announced(site.store, "gate-1", 1)
    assert (admitted.curve_public, admitted.seal_public) == site.keys


def test_a_box_is_admitted_at_once_where_policy_says_so(site: Site) -> None:
    site.invited(admit=True)
    site.provision()
    assert site.said[-1].startswith("admitted")
    assert site.store.devices.device(site.keys[0]) == "gate-1"


def test_secrets_are_roots_alone_and_what_both_services_read_is_readable(site: Site) -> None:
    site.invited()
    site.provision()
    assert mode(site.home.curve_key.parent) == 0o700
    for path in site.home.curve_key.parent.iterdir():
        assert mode(path) == 0o600
    assert mode(site.home.provisioned) == mode(site.home.root) == 0o644


def test_nothing_of_the_token_is_left_said_or_logged(site: Site) -> None:
    given = site.invited()
    with capture_logs() as log:
        site.provision()
    assert not site.file.exists()
    for path in site.folder.rglob("*"):
        assert not path.is_file() or given.token.encode() not in path.read_bytes(), path
    for secret in (given.token, curve.make_or_load(site.home.curve_key).secret.decode()):
        assert secret not in str(site.said) + str(log)


# ------------------------------------------------------------------ cut off


class Cut(BaseException):
    """The power is gone."""


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_after_a_power_cut_the_same_file_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    given, done = site.invited(), durable.write
    left = writes

    def cut(path: Path, content: bytes, **mode: int) -> None:
        nonlocal left
        if not left:
            raise Cut
        left -= 1
        done(path, content, **mode)

    with monkeypatch.context() as patched:
        patched.setattr(durable, "write", cut)
        with pytest.raises(Cut):
            site.provision()
    before = site.keys
    assert not site.home.provisioned.exists()  # the last of what the units wait for
    site.provision()
    assert site.keys == before
    assert load_base(site.home.provisioned).device.id == given.device
    assert site.home.root.read_bytes() == given.root_bytes
    assert not site.file.exists()


def test_a_cut_before_the_centre_was_told_costs_nothing(site: Site) -> None:
    site.invited()

    def say(line: str) -> None:
        if line.startswith("fingerprint"):
            raise Cut

    with pytest.raises(Cut):
        site.provision(say=say)
    before = site.keys
    site.provision()
    assert site.keys == before


def test_a_file_that_was_left_behind_is_erased_without_asking_the_centre(site: Site) -> None:
    given = site.invited()
    site.provision()
    before = site.home.provisioned.read_bytes()
    revoke(site.store, "gate-1")  # the centre would refuse the token now
    site.give(given)
    site.provision()
    assert "already" in site.said[-1]
    site.file.write_bytes(SPENT + b"\n\n\n")  # overwritten, and then the power was gone
    site.provision()
    assert not site.file.exists()
    assert site.home.provisioned.read_bytes() == before


# ------------------------------------------------------------------ refused


def test_each_thing_that_is_wrong_is_said_and_nothing_is_done(site: Site) -> None:
    given = site.invited()
    site.give(msgspec.structs.replace(given, endpoints=("nowhere",), centre_key="x", root="e30="))
    with pytest.raises(OperatorError, match="3 of its values are wrong"):
        site.provision()
    assert [line.split()[1] for line in site.said] == ["endpoints:", "centre_key:", "root:"]
    assert not site.home.folder.exists()
    assert site.file.exists()


def test_a_file_that_another_box_used_first_is_refused(site: Site) -> None:
    given = site.invited()
    provision(site.file, site.folder / "thief", site.said.append, answer_s=2)
    site.give(given)
    with pytest.raises(PeerError, match="spent before, on other keys") as caught:
        site.provision()
    assert caught.value.exit_code == 4
    assert "sightline device pending" in caught.value.hint
    assert not site.home.provisioned.exists()
    assert site.port.refused("not-admitted") == 1


@pytest.mark.parametrize("valid_h", [0.0, 1.0])
def test_an_expired_or_withdrawn_file_is_refused_at_the_door(site: Site, valid_h: float) -> None:
    site.invited(valid_h=valid_h)
    if valid_h:
        revoke(site.store, "gate-1")
    with pytest.raises(PeerError, match="does not know this token"):
        site.provision()
    assert site.port.report.denied == 1
    assert not site.home.provisioned.exists()


def test_a_centre_with_another_key_is_told_nothing(site: Site) -> None:
    site.give(msgspec.structs.replace(site.invited(), centre_key=curve.make().public))
    with pytest.raises(PeerError, match="is not the centre that this file names"):
        site.provision()
    assert site.port.report.messages == 0


def test_an_absent_centre_is_the_worlds_trouble_and_a_second_address_helps(site: Site) -> None:
    given = site.invited()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    site.give(msgspec.structs.replace(given, endpoints=(nowhere,)))
    with pytest.raises(WorldError, match="no centre answers at") as caught:
        site.provision()
    assert caught.value.exit_code == 3
    assert site.file.exists()
    site.give(msgspec.structs.replace(given, endpoints=(nowhere, *given.endpoints)))
    site.provision()
    assert load_base(site.home.provisioned).link.endpoints == (nowhere, *given.endpoints)


# ------------------------------------------------------------------ another centre, another name


def test_a_provisioned_box_refuses_another_identity_without_being_told_twice(site: Site) -> None:
    site.invited()
    site.provision()
    before = site.keys
    site.invited("gate-2")
    with pytest.raises(OperatorError, match=r"is gate-1 of another centre or by another name") as caught:
        site.provision()
    assert "--again" in caught.value.hint
    assert (site.keys, load_base(site.home.provisioned).device.id) == (before, "gate-1")
    assert site.file.exists()


def test_a_box_that_begins_again_forgets_all_that_was(site: Site) -> None:
    site.invited()
    site.provision()
    before = site.keys
    old = [site.home.pushed / "states" / "x" / "watchlist.sealed", site.home.outbox, site.home.folder / "watch" / "w"]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of the centre before")
    site.invited("gate-2")
    site.provision(again=True)
    assert [path for path in old if path.exists()] == []
    assert load_base(site.home.provisioned).device.id == "gate-2"
    assert not set(site.keys) & set(before)


def test_a_revoked_box_comes_back_by_a_new_invitation_and_by_no_old_one(site: Site) -> None:
    old = site.invited(admit=True)
    site.provision()
    revoke(site.store, "gate-1")
    site.give(msgspec.structs.replace(old, expires="later"))
    (site.home.folder / "keys" / "token.spent").unlink()  # as if the box had never used it
    with pytest.raises(PeerError, match="does not know this token"):
        site.provision()
    assert site.store.devices.device(site.keys[0]) is None
    site.invited(admit=True)
    site.provision()
    assert site.store.devices.device(site.keys[0]) == "gate-1"


# ------------------------------------------------------------------ the root of trust


def test_a_root_must_be_signed_by_its_own_keys(site: Site) -> None:
    root = site.invited().root_bytes
    check_root(root)
    signer = CryptoSigner.generate_ed25519()
    others = (Metadata(Timestamp()), Metadata(Targets()))  # rightly signed, and no root
    for other in others:
        other.sign(signer)
    altered = root.replace(b'"version":1}', b'"version":2}')
    assert altered != root
    for wrong in (altered, *(other.to_bytes() for other in others), b"{}", b"\xff"):
        with pytest.raises(PushError):
            check_root(wrong)
