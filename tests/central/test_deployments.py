"""A deployment as an officer writes it down: what it must say, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from central.deployments import load_deployment, window_in_words, write_running
from edge.errors import OperatorError

NOON_MS = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000)
SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "deployment.yaml"
GOOD: dict[str, object] = {
    "id": "square-1",
    "purpose": "find the wanted",
    "legal_basis": "an order of the court",
    "authorised_by": "A. Officer",
    "place": "Market square",
    "from": "2026-11-24T09:00:00+01:00",
    "until": "2026-11-24T17:00+01:00",
}


def load(folder: Path, **changes: object) -> object:
    path = folder / "deployment.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in {**GOOD, **changes}.items() if value is not None}))
    return load_deployment(path, now_ms=NOON_MS, max_h=168)


def test_the_sample_is_a_whole_deployment() -> None:
    found = load_deployment(SAMPLE, now_ms=NOON_MS, max_h=168)
    assert (found.id, found.cameras, found.two_person, found.retention_h) == (
        "square-2026-11-24",
        ("main-gate",),
        True,
        24,
    )
    assert window_in_words(found) == "2026-11-24 08:00 to 2026-11-24 16:00 UTC, cameras main-gate"


@pytest.mark.parametrize("name", GOOD)
def test_a_deployment_that_leaves_something_out_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(OperatorError, match=rf"its `{name}` is missing"):
        load(tmp_path, **{name: None})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"purpose": "  "}, "its `purpose` is missing"),
        ({"until": "2026-11-24T12:00:00Z"}, "its `until` is over"),
        ({"until": "2026-11-24T09:00:00+01:00"}, "its `until` is not after"),
        ({"until": "2026-12-24T12:00:00Z"}, "its `until` is more than 168 h"),
        ({"from": "2026-11-24 09:00:00"}, "its `from` has no time zone"),
        ({"from": "nine o'clock"}, "its `from` is no date and time"),
        ({"retention_h": 0}, "its `retention_h` is not more than 0"),
        ({"cameras": ["a gate"]}, "cameras"),
        ({"until": "2026-11-24T17:00Z", "purposes": "x"}, "did you mean purpose"),
    ],
)
def test_a_deployment_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        load(tmp_path, **changes)


def test_a_trial_on_one_machine_has_a_deployment_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "deployment.yaml"
    write_running(path, "Trial on one machine", NOON_MS)
    found = load_deployment(path, now_ms=NOON_MS, max_h=168)
    assert found.from_ms < NOON_MS < found.until_ms
