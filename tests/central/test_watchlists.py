from pathlib import Path

import numpy as np
import pytest

from central.fleet import admit, revoke
from central.store.state import StateDir, Store
from central.watchlists import renew, seal_for, write_file
from edge.errors import IntegrityError, OperatorError, SightlineError, WorldError
from edge.wire import curve
from edge.wire.sealing import SealingKey, make_or_load, unwrap
from edge.wire.watchlist import Deployment, decode
from tests.central.stand_ins import MODEL, NOON_MS, OTHER_MODEL, Desk, PatchEmbedder, candidate, enrol
from tests.deploying import deployment

HOUR_MS = 3_600_000
TODAY = deployment(NOON_MS, NOON_MS + 8 * HOUR_MS)


@pytest.fixture
def box_key(tmp_path: Path) -> SealingKey:
    return make_or_load(tmp_path / "box" / "seal.key")


@pytest.fixture
def centre_key(state: StateDir) -> SealingKey:
    return make_or_load(state.seal_key)


@pytest.fixture
def admitted(store: Store, box_key: SealingKey) -> str:
    return admit(store, "box-1", curve.make().public, box_key.public, NOON_MS).id


def test_a_watchlist_is_for_its_box_alone_and_holds_no_name(
    store: Store, admitted: str, box_key: SealingKey, centre_key: SealingKey
) -> None:
    ada, ben = enrol(store, "Ada Lovelace", 1), enrol(store, "Ben", 2)
    sealed = seal_for(
        store, admitted, centre_key, PatchEmbedder(), deployment=TODAY, now_ms=NOON_MS, valid_ms=HOUR_MS
    )
    watchlist = decode(unwrap(box_key, centre_key.public, sealed))
    assert (watchlist.device, watchlist.model_sha256, watchlist.dimension) == ("box-1", MODEL, 48)
    assert watchlist.expires_at_ms == NOON_MS + HOUR_MS
    assert watchlist.deployment == TODAY
    assert set(watchlist.entries) == {ada, ben}
    assert b"Ada" not in unwrap(box_key, centre_key.public, sealed)
    owners = np.frombuffer(watchlist.owners, "<u4")
    templates = np.frombuffer(watchlist.templates, "<f2").reshape(-1, 48).astype(np.float32)
    of_ada = templates[[watchlist.entries[owner] == ada for owner in owners]]
    assert float((of_ada @ store.entries.of(ada).templates[0])[0]) > 0.999
    with pytest.raises(IntegrityError, match="does not open"):
        unwrap(SealingKey(b"x" * 32), centre_key.public, sealed)


@pytest.mark.parametrize(
    ("device", "message"),
    [("box-9", "device box-9 is not admitted"), ("box-1", "nobody is enrolled")],
)
def test_a_watchlist_that_makes_no_sense_is_refused(
    store: Store, admitted: str, centre_key: SealingKey, device: str, message: str
) -> None:
    assert admitted
    with pytest.raises(OperatorError, match=message):
        seal_for(store, device, centre_key, PatchEmbedder(), deployment=TODAY, now_ms=NOON_MS, valid_ms=HOUR_MS)


@pytest.mark.parametrize(
    ("window", "says"),
    [
        (deployment(NOON_MS - HOUR_MS, NOON_MS), "square-1 is over"),
        (deployment(NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS), "would expire before deployment square-1 begins"),
    ],
)
def test_a_watchlist_that_could_never_be_used_is_not_made(
    store: Store, admitted: str, centre_key: SealingKey, window: Deployment, says: str
) -> None:
    enrol(store, "Ada", 1)
    with pytest.raises(OperatorError, match=says):
        seal_for(store, admitted, centre_key, PatchEmbedder(), deployment=window, now_ms=NOON_MS, valid_ms=HOUR_MS)


def test_a_watchlist_ends_with_its_deployment_at_the_latest(
    store: Store, admitted: str, box_key: SealingKey, centre_key: SealingKey
) -> None:
    enrol(store, "Ada", 1)
    sealed = seal_for(
        store, admitted, centre_key, PatchEmbedder(), deployment=TODAY, now_ms=NOON_MS, valid_ms=99 * HOUR_MS
    )
    assert decode(unwrap(box_key, centre_key.public, sealed)).expires_at_ms == TODAY.until_ms


def test_a_revoked_box_gets_no_watchlist(store: Store, admitted: str, centre_key: SealingKey) -> None:
    enrol(store, "Ada", 1)
    revoke(store, admitted)
    with pytest.raises(OperatorError, match="not admitted"):
        seal_for(store, admitted, centre_key, PatchEmbedder(), deployment=TODAY, now_ms=NOON_MS, valid_ms=HOUR_MS)


def test_a_box_with_another_model_gets_templates_of_that_model(
    store: Store, admitted: str, box_key: SealingKey, centre_key: SealingKey
) -> None:
    enrol(store, "Ada", 1)
    other = PatchEmbedder(model_sha256=OTHER_MODEL)
    sealed = seal_for(store, admitted, centre_key, other, deployment=TODAY, now_ms=NOON_MS, valid_ms=HOUR_MS)
    assert decode(unwrap(box_key, centre_key.public, sealed)).model_sha256 == OTHER_MODEL
    assert other.calls == 1
    assert store.entries.all().models == (MODEL,), "the centre's own stay as they are"


def test_a_new_model_at_the_centre_embeds_the_references_again(desk: Desk) -> None:
    entry = enrol(desk.store, "Ada", 1, model=OTHER_MODEL)
    assert renew(desk.store, desk.embedder) == 1
    assert renew(desk.store, desk.embedder) == 0
    desk.take_in(candidate(entry))
    assert desk.store.alerts.totals()["alerts"] == 1


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "watchlist.sealed"
    write_file(target, b"one")
    write_file(target, b"two")
    assert (target.read_bytes(), list(tmp_path.iterdir())) == (b"two", [target])
    with pytest.raises(WorldError, match="cannot write"):
        write_file(tmp_path / "absent" / "x", b"")


# ------------------------------------------------------------------ admission


def test_an_admitted_box_is_known_by_its_key_until_it_is_revoked(store: Store, box_key: SealingKey) -> None:
    key = curve.make().public
    assert store.devices.device(key) is None
    admit(store, "box-1", key, box_key.public, NOON_MS)
    assert store.devices.device(key) == "box-1"
    revoke(store, "box-1")
    assert store.devices.device(key) is None
    assert store.devices.health() == []
    admit(store, "box-1", key, box_key.public, NOON_MS)
    assert store.devices.device(key) == "box-1"


def test_admitting_the_same_keys_again_changes_nothing(store: Store, box_key: SealingKey) -> None:
    key = curve.make().public
    first = admit(store, "box-1", key, box_key.public, NOON_MS)
    assert admit(store, "box-1", key, box_key.public.upper(), NOON_MS + 5) == first


@pytest.mark.parametrize(
    ("case", "device", "curve_public", "seal_public", "message"),
    [
        ("an id with a slash", "box/1", None, None, "not a device id"),
        ("no CURVE key", "box-2", "short", None, "not a public CURVE key"),
        ("no sealing key", "box-2", None, "abc", "not a public sealing key"),
        ("another box's CURVE key", "box-2", "", None, "has this CURVE key already"),
        ("other keys for a known box", "box-1", None, None, "is admitted with other keys"),
    ],
)
def test_an_admission_that_makes_no_sense_is_refused(
    store: Store,
    box_key: SealingKey,
    case: str,
    device: str,
    curve_public: str | None,
    seal_public: str | None,
    message: str,
) -> None:
    known = curve.make().public
    admit(store, "box-1", known, box_key.public, NOON_MS)
    key = known if curve_public == "" else curve_public or curve.make().public
    with pytest.raises(SightlineError) as caught:
        admit(store, device, key, seal_public or box_key.public, NOON_MS)
    assert message in str(caught.value), case


def test_revoking_a_stranger_is_refused(store: Store) -> None:
    with pytest.raises(OperatorError, match="there is no device"):
        revoke(store, "box-7")
