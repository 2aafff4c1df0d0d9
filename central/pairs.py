"""Pairs of photographs to compare: as listed in a CSV, or drawn from the folder by a stated rule."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from central.photographs import Photo, people_of
from central.rates import FOLDS
from edge.errors import OperatorError

SEED = 7
MOST_DRAWN_PAIRS = 3000
MOST_PARTNERS = 10


@dataclass(frozen=True)
class PairList:
    """Pairs as rows (n,2) of the photographs, mated (n,), fold (n,), and how they came."""

    rows: NDArray[np.intp]
    mated: NDArray[np.bool_]
    fold: NDArray[np.intp] | None
    rule: str


def read_pairs(path: Path, photos: Sequence[Photo]) -> PairList:
    """Read a CSV with the columns a, b, mated and perhaps fold; every photograph in it must be there."""
    row_of = {photo.name: i for i, photo in enumerate(photos)}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not {"a", "b", "mated"} <= set(reader.fieldnames or ()):
                raise OperatorError(f"{path} is no list of pairs", hint="its first line must name a, b, mated")
            lines = [(reader.line_num, line) for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"cannot read the pairs {path}: {error}") from error
    if not lines:
        raise OperatorError(f"{path} has no pairs")
    rows, mated, folds = [], [], []
    for number, line in lines:
        for photo in (line["a"], line["b"]):
            if photo not in row_of:
                raise OperatorError(
                    f"{path}, line {number}: photograph {photo!r} is not in the folder of faces",
                    hint="give the folder that the pairs were drawn from",
                )
        rows.append((row_of[line["a"]], row_of[line["b"]]))
        mated.append(_flag(line["mated"], path, number))
        folds.append(line.get("fold"))
    named = sorted({fold for fold in folds if fold})
    if named and (len(named) != FOLDS or not all(folds)):
        raise OperatorError(
            f"{path} names {len(named)} folds", hint=f"give every pair one of {FOLDS}, or none at all"
        )
    fold = np.array([named.index(fold or "") for fold in folds], np.intp) if named else None
    return PairList(np.array(rows, np.intp), np.array(mated, np.bool_), fold, f"{len(rows)} pairs as listed")


def among(pairs: PairList, photos: Sequence[Photo], kept: Sequence[Photo]) -> PairList:
    """Return the pairs of which both photographs are kept, as rows of those; folds are made anew."""
    row_of = {photo.name: i for i, photo in enumerate(kept)}
    rows = np.array([row_of.get(photo.name, -1) for photo in photos], np.intp)[pairs.rows]
    whole = (rows >= 0).all(axis=1)
    if not whole.any():
        raise OperatorError("no listed pair has both of its people held out", hint="leave --pairs or --held-out away")
    return PairList(rows[whole], pairs.mated[whole], None, f"{int(whole.sum())} of {pairs.rule}")


def draw_pairs(photos: Sequence[Photo]) -> PairList:
    """Draw as many mated as non-mated pairs, at most 3,000 of each, from a fixed seed."""
    person = people_of(photos)
    draw = np.random.default_rng(SEED)
    mated = [
        (i, j) for rows in _groups(person) for n, i in enumerate(rows) for j in rows[n + 1 : n + 1 + MOST_PARTNERS]
    ]
    if not mated or person.max() < 1:
        raise OperatorError(
            "no pairs can be drawn from this folder of faces",
            hint="it needs two people, and two photographs of at least one of them; or give --pairs",
        )
    chosen = draw.permutation(np.array(mated, np.intp))[:MOST_DRAWN_PAIRS]
    groups = _groups(person)
    non_mated = []
    for _ in range(len(chosen)):
        one, other = draw.choice(len(groups), 2, replace=False)
        non_mated.append((int(draw.choice(groups[one])), int(draw.choice(groups[other]))))
    rule = (
        f"{len(chosen)} mated pairs drawn from the folder (each photograph with at most the next {MOST_PARTNERS} of "
        f"its person, at most {MOST_DRAWN_PAIRS} pairs) and as many non-mated ones (two people, one photograph of "
        f"each, all equally likely), seed {SEED}"
    )
    rows = np.concatenate([chosen, np.array(non_mated, np.intp)])
    return PairList(rows, np.repeat([True, False], len(chosen)), None, rule)


def _flag(text: str, path: Path, line: int) -> bool:
    value = {"1": True, "true": True, "0": False, "false": False}.get((text or "").strip().lower())
    if value is None:
        raise OperatorError(f"{path}, line {line}: mated is {text!r}", hint="1 or 0")
    return value


def _groups(person: NDArray[np.intp]) -> list[list[int]]:
    groups: list[list[int]] = [[] for _ in range(int(person.max()) + 1)]
    for row, p in enumerate(person.tolist()):
        groups[p].append(row)
    return groups
