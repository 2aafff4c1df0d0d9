import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.sightings import Placement, Span, place

S = 1000


@pytest.mark.parametrize(
    ("case", "pass_", "spans", "expected"),
    [
        ("nobody before", (10, 12), [], Placement(None, (), 10 * S, 12 * S)),
        ("a minute later", (70, 72), [("a", 8, 10)], Placement("a", (), 8 * S, 72 * S)),
        ("just over a minute later", (71, 72), [("a", 8, 10)], Placement(None, (), 71 * S, 72 * S)),
        ("on two cameras at once", (9, 11), [("a", 8, 10)], Placement("a", (), 8 * S, 11 * S)),
        ("a late event from before", (1, 2), [("a", 8, 10)], Placement("a", (), 1 * S, 10 * S)),
        (
            "a late event between two sightings makes them one",
            (65, 66),
            [("b", 120, 121), ("a", 8, 10)],
            Placement("a", ("b",), 8 * S, 121 * S),
        ),
        ("a pass whose ends are swapped", (12, 10), [], Placement(None, (), 10 * S, 12 * S)),
    ],
)
def test_a_pass_finds_its_sighting(
    case: str, pass_: tuple[int, int], spans: list[tuple[str, int, int]], expected: Placement
) -> None:
    known = [Span(name, start * S, end * S) for name, start, end in spans]
    assert place(pass_[0] * S, pass_[1] * S, known, 60 * S) == expected, case


@given(st.lists(st.integers(0, 600), min_size=1, max_size=5))
def test_the_order_of_arrival_does_not_change_the_sightings(starts: list[int]) -> None:
    def grouped(order: tuple[int, ...]) -> set[tuple[int, int]]:
        spans: dict[str, Span] = {}
        for number, start in enumerate(order):
            placed = place(start * S, (start + 2) * S, list(spans.values()), 60 * S)
            for gone in placed.absorbed:
                del spans[gone]
            name = placed.sighting or f"s{number}"
            spans[name] = Span(name, placed.from_ms, placed.until_ms)
        return {(span.from_ms, span.until_ms) for span in spans.values()}

    results = {frozenset(grouped(order)) for order in itertools.permutations(starts)}
    assert len(results) == 1
