"""Error rates from templates and scores: verification on pairs, identification in an open set.

Terms of ISO/IEC 19795. Everything here is pure: the same templates and seed give the same numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]

FOLDS = 10
FAR = 1e-3
MATED_SHARE = 0.7
MOST_PROBES = 10


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Compared pairs: people (n,2) as numbers, mated (n,), fold (n,) 0..9, score (n,) cosine or NaN.

    NaN stands for a photograph without a face. `disjoint` says that the folds are ours, by person, and that a
    threshold must come from pairs which share nobody with the fold under test.
    """

    people: Ints
    mated: Bools
    fold: Ints
    score: Floats
    disjoint: bool

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        n = len(self.score)
        shapes = (self.people.shape, self.mated.shape, self.fold.shape)
        if shapes != ((n, 2), (n,), (n,)):
            raise ValueError(f"pairs need shapes {((n, 2), (n,), (n,))}, got {shapes}")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How well pairs are told apart."""

    accuracies: tuple[float, ...]
    """Of each fold."""
    thresholds: tuple[float, ...]
    """Of each fold, chosen without it."""
    correct: int
    accepted: int
    """Mated pairs at or above the threshold at FAR."""
    threshold_at_far: float


def folds_by_person(people: Ints) -> Ints:
    """Return a fold 0..9 for each pair (n,2): all pairs of one first person together, folds of like size."""
    persons, counts = np.unique(people[:, 0], return_counts=True)
    sizes = [0] * FOLDS
    fold_of: dict[int, int] = {}
    for person, count in sorted(zip(persons.tolist(), counts.tolist(), strict=True), key=lambda pc: (-pc[1], pc[0])):
        fold_of[person] = sizes.index(min(sizes))
        sizes[fold_of[person]] += count
    return np.array([fold_of[person] for person in people[:, 0].tolist()], np.intp)


def verification(pairs: Pairs) -> Verification:
    """Return accuracy by folds, each judged at the threshold that was best without it, and TAR at FAR.

    A pair with a photograph without a face is an error; in FAR, where it could not be accepted, it is not
    counted. Raises ValueError where a fold has no pair, or none of one kind is left to choose a threshold on.
    """
    accuracies, thresholds, correct = [], [], 0
    for fold in range(FOLDS):
        tested = pairs.fold == fold
        threshold = _best_threshold(pairs, _training(pairs, tested))
        right = _right(pairs, threshold)[tested]
        accuracies.append(float(right.mean()))
        thresholds.append(threshold)
        correct += int(right.sum())
    impostors = pairs.score[~pairs.mated & np.isfinite(pairs.score)]
    at_far = threshold_at(impostors, FAR)
    with np.errstate(invalid="ignore"):
        accepted = int((pairs.score[pairs.mated] >= at_far).sum())
    return Verification(
        accuracies=tuple(accuracies),
        thresholds=tuple(thresholds),
        correct=correct,
        accepted=accepted,
        threshold_at_far=at_far,
    )


def threshold_at(impostors: Floats, rate: float) -> float:
    """Return the lowest threshold that at most this share of impostor scores (n,) reaches.

    Where the share is below one score, it lies just above them all.
    """
    if not len(impostors):
        raise ValueError("no impostor scores")
    allowed = int(rate * len(impostors) + 1e-9)
    if allowed >= len(impostors):
        return -1.0
    highest = np.sort(impostors)[::-1][allowed]
    return float(np.nextafter(highest, np.float32(2)))


def _training(pairs: Pairs, tested: Bools) -> Bools:
    if not tested.any():
        raise ValueError("a fold has no pair")
    usable = ~tested & np.isfinite(pairs.score)
    if pairs.disjoint:
        usable &= ~np.isin(pairs.people, np.unique(pairs.people[tested])).any(axis=1)
    return np.asarray(usable, np.bool_)


def _best_threshold(pairs: Pairs, used: Bools) -> float:
    """Return the middle of the first span of thresholds with the fewest errors."""
    score, mated = pairs.score[used], pairs.mated[used]
    if mated.all() or not mated.any():
        raise ValueError("no pairs of both kinds are left to choose a threshold on")
    order = np.argsort(score, kind="stable")
    score, mated = score[order], mated[order]
    # a threshold below score[i] accepts i and all above: misses are mated pairs before it
    misses = np.concatenate([[0], np.cumsum(mated)])
    false = np.concatenate([np.cumsum(~mated[::-1])[::-1], [0]])
    edges = np.concatenate([[score[0] - 1e-3], score, [score[-1] + 1e-3]])
    errors = np.where(edges[1:] > edges[:-1], misses + false, len(score) + 1)
    best = int(np.argmin(errors))
    return float((edges[best] + edges[best + 1]) / 2)


def _right(pairs: Pairs, threshold: float) -> Bools:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(pairs.score) & ((pairs.score >= threshold) == pairs.mated), np.bool_)


@dataclass(frozen=True)
class Photographs:
    """The photographs of a set in order of person and file: template (n,d), found (n,), person (n,)."""

    template: Floats
    found: Bools
    person: Ints

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other."""
        n = len(self.template)
        if self.template.ndim != 2 or self.found.shape != (n,) or self.person.shape != (n,):
            raise ValueError(f"{self.template.shape} templates, {self.found.shape} found, {self.person.shape} people")


@dataclass(frozen=True)
class Setting:
    """One open-set experiment."""

    gallery: int
    """People enrolled."""
    references: int = 1
    """Photographs enrolled of each mated person; the nearest counts."""
    probes: int = 1
    """Photographs fused into each probe."""
    at_least: int = 2
    """Photographs that a mated person must have."""

    @property
    def needed(self) -> int:
        """Return how many photographs a mated person needs."""
        return max(self.at_least, self.references + self.probes)


@dataclass(frozen=True)
class Searches:
    """The searches of one draw: the mate's score, or -inf where they were not first; impostors' best score."""

    mates: Floats
    impostors: Floats


def capacity(photos: Photographs, setting: Setting, fillers: frozenset[int] = frozenset()) -> int:
    """Return how many people the set has to enrol: the mated share of those photographed often, and the fill."""
    counts = np.bincount(photos.person)
    fill = len(fillers) or int((counts == 1).sum())
    return int(MATED_SHARE * int((counts >= setting.needed).sum())) + fill


def searches(
    photos: Photographs, setting: Setting, seed: int, fillers: frozenset[int] = frozenset()
) -> Searches | None:
    """Draw a gallery and search it; None where the set has too few people for it.

    `fillers`: one-photograph people who fill the gallery and do nothing else; without any, whoever has one
    photograph may fill it or be searched.
    """
    rows = _rows_of(photos)
    several = np.array([p for p, own in enumerate(rows) if len(own) >= setting.needed], np.intp)
    single = np.array(sorted(fillers) or [p for p, own in enumerate(rows) if len(own) == 1], np.intp)
    draw = np.random.default_rng(seed)
    mated = draw.permutation(several)[: min(int(MATED_SHARE * len(several)), setting.gallery)]
    fill = draw.permutation(single)[: setting.gallery - len(mated)]
    enrolled = set(mated.tolist()) | set(fill.tolist())
    others = [p for p in range(len(rows)) if p not in enrolled and p not in fillers]
    if len(enrolled) < setting.gallery or not len(mated) or not others:
        return None
    references = [(p, rows[p][: setting.references]) for p in sorted(enrolled)]
    probes = [(p, rows[p][setting.references :][:MOST_PROBES]) for p in mated.tolist()]
    best, first = _search(photos, references, _looks(photos, probes, setting.probes))
    mates = np.concatenate([_looks(photos, [probe], setting.probes).person for probe in probes])
    strangers = _looks(photos, [(p, rows[p]) for p in others], setting.probes)
    impostors, _ = _search(photos, references, strangers)
    return Searches(
        mates=np.where(first == mates, best, -np.inf).astype(np.float32), impostors=impostors[strangers.found]
    )


def _rows_of(photos: Photographs) -> list[Ints]:
    """Return the rows of each person, in order."""
    people = int(photos.person.max()) + 1 if len(photos.person) else 0
    return [np.flatnonzero(photos.person == p) for p in range(people)]


def _looks(photos: Photographs, taken: list[tuple[int, Ints]], size: int) -> Photographs:
    """Return probes: groups of `size` photographs of one person, fused; one without any face is not found."""
    groups = [(p, own[i : i + size]) for p, own in taken for i in range(0, len(own) - size + 1, size)]
    if not groups:
        return Photographs(
            np.zeros((0, photos.template.shape[1]), np.float32), np.zeros(0, bool), np.zeros(0, np.intp)
        )
    index = np.stack([rows for _, rows in groups])
    found = photos.found[index]
    mean = (photos.template[index] * found[..., None]).sum(axis=1)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    fused = np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)
    return Photographs(
        fused.astype(np.float32), np.asarray(found.any(axis=1)), np.array([p for p, _ in groups], np.intp)
    )


def _search(photos: Photographs, references: list[tuple[int, Ints]], probes: Photographs) -> tuple[Floats, Ints]:
    """Return each probe's best score and whose it is; -inf and -1 for a probe without a face."""
    kept = [(p, row) for p, own in references for row in own.tolist() if photos.found[row]]
    if not kept or not len(probes.person):
        return np.full(len(probes.person), -np.inf, np.float32), np.full(len(probes.person), -1, np.intp)
    scores = probes.template @ photos.template[[row for _, row in kept]].T
    nearest = scores.argmax(axis=1)
    best = np.where(probes.found, scores[np.arange(len(scores)), nearest], -np.inf).astype(np.float32)
    return best, np.where(probes.found, np.array([p for p, _ in kept], np.intp)[nearest], -1)
