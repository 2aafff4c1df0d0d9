"""Pictures put together from the pieces that FFmpeg's reader hands over, as laws over made-up streams."""

from hypothesis import given
from hypothesis import strategies as st

from edge.camera.units import START, Assembler, Unit

MOST = 20
"""Of a fragment's bytes, where it stands for a packet of 1,400."""
SLICE, KEY, SETS = 1, 5, 7


def pieces(kind: int, body: int, lengths: list[int]) -> list[bytes]:
    """Cut one unit of H.264: its header and so many bytes, none of which looks like a start."""
    data = bytes((kind,)) + bytes(1 + place % 250 for place in range(body))
    if len(data) <= MOST:
        return [START + data]
    cut, at = [], 1
    for length in lengths + [MOST] * body:
        if at < len(data):
            cut.append(data[at : at + length])
            at += length
    return [START + data[:1] + cut[0], *cut[1:]]


def add_all(assembler: Assembler, stream: list[tuple[bytes, int]]) -> list[Unit]:
    return [unit for piece, pts in stream for unit in assembler.add(piece, pts)]


bodies = st.lists(st.integers(1, 90), min_size=1, max_size=3)


@given(st.lists(bodies, min_size=1, max_size=12), st.sampled_from(["h264", "hevc"]))
def test_nothing_is_lost_or_changed_whatever_the_lengths(pictures: list[list[int]], codec: str) -> None:
    stream = [
        (piece, pts) for pts, slices in enumerate(pictures) for size in slices for piece in pieces(SLICE, size, [])
    ]
    stream.append((START + bytes((SLICE,)), len(pictures)))  # what comes next lets go of the last
    units = add_all(Assembler(codec), stream)
    for pts in range(len(pictures)):
        assert b"".join(unit.data for unit in units if unit.pts == pts) == b"".join(
            p for p, at in stream if at == pts
        )
    assert [unit.pts for unit in units] == sorted(unit.pts for unit in units)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=12))
def test_evenly_cut_slices_are_given_with_their_last_piece_once_a_full_piece_was_seen(sizes: list[int]) -> None:
    assembler = Assembler("h264")
    add_all(assembler, [(piece, 0) for piece in pieces(KEY, 3 * MOST, [])])
    for pts, size in enumerate(sizes, 1):
        cut = pieces(SLICE, size, [])
        given_at = [any(unit.pts == pts for unit in assembler.add(piece, pts)) for piece in cut]
        # In doubt where the last fragment is full, or a whole unit as long as the first one of several.
        doubtful = size % MOST == 0 if len(cut) > 1 else size + 1 > MOST
        assert given_at == [False] * (len(cut) - 1) + [not doubtful]
        assert not assembler.broke


@given(st.lists(st.integers(3, MOST), min_size=5, max_size=5))
def test_unevenly_cut_slices_are_broken_once_at_most(lengths: list[int]) -> None:
    assembler = Assembler("h264")
    broken = whole = 0
    for pts in range(8):
        cut = pieces(SLICE, 5 * MOST, lengths)
        for piece in cut:
            units = assembler.add(piece, pts)
            broken += assembler.broke
            whole += sum(unit.data == b"".join(cut) for unit in units)
    assert broken <= 1
    assert whole >= 8 - broken - 1  # the last one waits for the next


def test_parameter_sets_go_with_the_slice_that_follows_and_a_key_picture_is_known() -> None:
    assembler = Assembler("h264")
    sets = START + bytes((SETS, 9, 9)) + START + bytes((8, 9))
    assert assembler.add(sets, 7) == []
    assert add_all(assembler, [(piece, 7) for piece in pieces(KEY, 30, [])]) == [
        Unit(sets + b"".join(pieces(KEY, 30, [])), 7, key=True)
    ]


@given(st.lists(st.integers(1, MOST - 1), min_size=2, max_size=12))
def test_units_shorter_than_one_that_was_whole_are_given_at_once_and_none_too_early(sizes: list[int]) -> None:
    assembler, longest = Assembler("h264"), 0
    for pts, size in enumerate(sizes):
        (piece,) = pieces(SLICE, size, [])
        units = assembler.add(piece, pts)
        assert (Unit(piece, pts, key=False) in units) == (size + 1 < longest - 1)
        longest = max(longest, size + 1)
    cut = pieces(SLICE, 3 * MOST, [])
    assert not any(unit.pts == 99 for piece in cut[:-1] for unit in assembler.add(piece, 99))
    assert not assembler.broke


def test_h265_is_given_picture_by_picture() -> None:
    assembler = Assembler("hevc")
    assert assembler.add(START + bytes((19 << 1, 1, 5)), 1) == []
    assert assembler.add(START + bytes((19 << 1, 1, 6)), 1) == []
    assert assembler.add(START + bytes((1 << 1, 1, 7)), 2) == [
        Unit(START + bytes((38, 1, 5)) + START + bytes((38, 1, 6)), 1, key=True)
    ]
    assert assembler.end() == [Unit(START + bytes((1 << 1, 1, 7)), 2, key=False)]
    assert assembler.end() == []


def test_another_codec_is_grouped_by_its_times() -> None:
    assembler = Assembler("mpeg4")
    assert add_all(assembler, [(b"one ", 1), (b"more", 1), (b"two", 2)]) == [Unit(b"one more", 1, key=False)]


def test_the_end_of_something_whose_beginning_never_came_is_nothing() -> None:
    assembler = Assembler("h264")
    assert assembler.add(b"in the middle", 1) == []
    assert assembler.add(START + bytes((SLICE, 1)), 2) == []


def test_a_unit_without_end_is_given_up() -> None:
    assembler = Assembler("h264")
    assembler.add(START + bytes((KEY,)) + bytes(100_000), 1)
    for _ in range(130):
        assert assembler.add(bytes(100_000), 1) == []
    assert assembler.add(START + bytes((SLICE, 1)), 2)[0].data.__len__() < 1_000_000
