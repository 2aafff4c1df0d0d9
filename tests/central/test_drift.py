import pytest

from central.drift import Standing, drift
from central.store.devices import DeviceHealth
from central.store.rollouts import Published
from edge.wire.messages import Applied, Phase

OLD = Published(device="box-1", word="old", at_ms=1_000, config="a", watchlist="b", models="c")
NEW = Published(device="box-1", word="new", at_ms=2_000, config="a", watchlist="B", models="C")


def says(applied: Applied | None) -> DeviceHealth:
    return DeviceHealth(
        device="box-1", heard_at_ms=3_000, seeing=True, waiting=0, shed=0, troubles=(), applied=applied
    )


@pytest.mark.parametrize(
    ("applied", "standing", "parts", "words"),
    [
        (None, Standing.UNTOLD, (), "has not said what it runs"),
        (Applied(state="new"), Standing.SAME, (), "runs what it should"),
        (
            Applied(state="old"),
            Standing.BEHIND,
            ("watchlist", "models"),
            "does not run what it should (watchlist, models)",
        ),
        (
            Applied(state="old", phase=Phase.BRINGING, about="new"),
            Standing.BRINGING,
            ("watchlist", "models"),
            "is bringing watchlist, models",
        ),
        (
            Applied(state="", phase=Phase.TRYING, about="new"),
            Standing.TRYING,
            ("config", "watchlist", "models"),
            "is trying config, watchlist, models",
        ),
        (
            Applied(state="old", phase=Phase.REFUSED, about="new", refused="its camera does not open"),
            Standing.REFUSED,
            ("watchlist", "models"),
            "refused: its camera does not open",
        ),
        (
            Applied(state="old", phase=Phase.REFUSED, about="another", refused="too old"),
            Standing.BEHIND,
            ("watchlist", "models"),
            "does not run what it should (watchlist, models)",
        ),
        (Applied(state="forgotten"), Standing.BEHIND, (), "does not run what it should (another state)"),
    ],
)
def test_drift_is_told_in_words(
    applied: Applied | None, standing: Standing, parts: tuple[str, ...], words: str
) -> None:
    found = drift(says(applied), [NEW, OLD])
    assert (found.standing, found.parts, found.words) == (standing, parts, words)
    assert found.since_ms == (0 if standing is Standing.SAME else 2_000)


def test_a_box_that_nothing_was_published_for_does_not_drift() -> None:
    assert drift(says(Applied()), []).standing is Standing.UNPUSHED
