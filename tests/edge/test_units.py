"""The process table of the box: hardened, understood by systemd, and true to the program."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.cli import BY_HAND, PROVISIONED, STATE, _parser, standard_place
from edge.config import load_config
from edge.errors import OperatorError
from edge.service import Home

CHECKOUT = Path(__file__).resolve().parents[2]
UNITS = CHECKOUT / "systemd"
SERVICES = ("sightline-watch", "sightline-link")
WORST = 2.0
# Known from systemd 254 on; before, they are passed over with this warning, and each restart waits RestartSec.
NEWER = re.compile(r"Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)'")

analysed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")


def service(name: str) -> dict[str, list[str]]:
    """Read the [Service] part of a unit, every value of each key."""
    found: dict[str, list[str]] = {}
    _, _, part = (UNITS / f"{name}.service").read_text().partition("[Service]\n")
    for line in part.partition("\n[")[0].splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@analysed
@pytest.mark.parametrize("name", [*SERVICES, "sightline-provision"])
def test_a_unit_is_as_closed_as_promised(name: str) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", str(UNITS / f"{name}.service")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    score = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert score is not None, said
    assert float(score[1]) <= WORST


@analysed
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        text = unit.read_text().replace("/opt/sightline/bin/edge", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "sightline" in line and not NEWER.search(line)]
    assert ours == []
    assert done.returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_unit_starts_exists(name: str) -> None:
    _, *arguments = service(name)["ExecStart"][0].split()
    options = _parser().parse_args(arguments)
    assert f"sightline-{options.name}" == name
    conditions = [
        line for line in (UNITS / f"{name}.service").read_text().splitlines() if line.startswith("Condition")
    ]
    assert conditions == [f"ConditionPathExists=|{path}" for path in (BY_HAND, PROVISIONED)]
    assert options.config in {BY_HAND, PROVISIONED}


def test_what_a_person_wrote_counts_before_what_provisioning_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand, provisioned = tmp_path / "edge.yaml", tmp_path / "provisioned.yaml"
    monkeypatch.setattr("edge.cli.BY_HAND", by_hand)
    monkeypatch.setattr("edge.cli.PROVISIONED", provisioned)
    assert standard_place() == by_hand
    provisioned.touch()
    assert standard_place() == provisioned
    by_hand.touch()
    assert standard_place() == by_hand


def test_the_paths_of_units_and_sample_are_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = load_config(CHECKOUT / "docs" / "edge.yaml")
    home, watch, link = Home(Path(config.device.state)), service("sightline-watch"), service("sightline-link")
    assert f"seal.key:{home.sealing_key}" in watch["LoadCredential"]
    assert f"curve.key:{home.curve_key}" in link["LoadCredential"]
    assert config.camera.credentials_file == "credential:camera"
    assert "camera:/etc/sightline/camera" in watch["LoadCredential"]
    assert Path(config.watchlist.file).parent == Path("/var/lib") / watch["StateDirectory"][0]
    assert watch["ReadWritePaths"] == [str(home.outbox.parent)]
    assert link["ReadWritePaths"] == [f"{home.outbox.parent} {home.pushed}"]
    assert Home(STATE).provisioned == PROVISIONED
    made = (UNITS / "tmpfiles.d" / "sightline.conf").read_text()
    assert f"d {home.outbox.parent} 2770 root sightline" in made
    assert f"d {home.sealing_key.parent} 0700 root root" in made
    for folder in (home.pushed, home.pushed / "states"):
        assert f"d {folder} 2750 sightline-link sightline-watch" in made


def test_link_reaches_nothing_of_watch() -> None:
    watch, link = service("sightline-watch"), service("sightline-link")
    assert watch["User"] != link["User"]
    closed = link["InaccessiblePaths"][0].replace("-/", "/").split()
    assert set(closed) == {"/var/lib/sightline/keys", "/var/lib/sightline/watch", "/etc/sightline/camera"}
    assert [each.partition(":")[0] for each in link["LoadCredential"]] == ["curve.key"]
    assert watch["IPAddressDeny"] == ["any"]
    assert "IPAddressAllow" not in watch


def test_provisioning_runs_before_the_others_and_is_tried_until_the_centre_is_reached() -> None:
    text, unit = (UNITS / "sightline-provision.service").read_text(), service("sightline-provision")
    _, *arguments = unit["ExecStart"][0].split()
    options = _parser().parse_args(arguments)
    assert (options.name, options.state, options.again) == ("provision", STATE, False)
    assert f"ConditionPathExists={options.file}\n" in text
    assert unit["ReadWritePaths"] == [f"{STATE} -{options.file.parent}"]
    for others in ("Before", "OnSuccess"):  # passed over at boot, they are started once it has succeeded
        assert f"{others}=sightline-watch.service sightline-link.service\n" in text
    assert (unit["Type"], unit["Restart"]) == (["oneshot"], ["on-failure"])
    assert "StartLimitIntervalSec=0\n" in text
    assert unit["RestartPreventExitStatus"] == [str(OperatorError.exit_code)]
    assert "sightline-provision.service" in (UNITS / "sightline.target").read_text()
