"""How accurate the models are on a folder of faces: the work behind `sightline evaluate`.

    photographs -> templates -> pairs and searches (rates.py) -> report: JSON and a table

Every rate comes with its counts and an exact 95 % interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from central.accuracy import (
    DataUsed,
    EmbedderReport,
    ModelUsed,
    OpenSetReport,
    Range,
    Report,
    VerificationReport,
    table,
)
from central.holdout import held_out
from central.intervals import exact
from central.pairs import PairList, among, draw_pairs, read_pairs
from central.photographs import Finder, Templater, alone, digest_of, people_of, photographs_in, templates_of
from central.rates import (
    FAR,
    FOLDS,
    MATED_SHARE,
    MOST_PROBES,
    Pairs,
    Photographs,
    Searches,
    Setting,
    capacity,
    folds_by_person,
    searches,
    threshold_at,
    verification,
)
from edge.errors import OperatorError
from edge.faces.detect import open_detector
from edge.faces.embed import open_embedder
from edge.faces.registry import ModelCard, ModelStore, Registry, Task, load_registry
from edge.faces.runtime import RuntimeSettings

FPIRS = (0.1, 0.01, 0.001)
GALLERIES = (500, 1500, 3000)
MUCH_PHOTOGRAPHED = 6
SETTINGS = (
    *(Setting(size) for size in GALLERIES),
    *(
        Setting(1500, references, probes, MUCH_PHOTOGRAPHED)
        for references, probes in ((1, 1), (3, 1), (1, 3), (3, 3))
    ),
)
DRAWS = 5
SEED = 7


@dataclass(frozen=True)
class Models:
    """The models under measurement, opened."""

    detector: ModelUsed
    finder: Finder
    embedders: Mapping[str, tuple[ModelUsed, Templater]]


def run(
    faces: Path,
    *,
    pairs: Path | None = None,
    json_path: Path | None = None,
    embedders: Sequence[str] = (),
    detector: str = "",
    settings: RuntimeSettings | None = None,
    only_held_out: bool = False,
    quiet: bool = False,
) -> str:
    """Measure and return the table; write JSON where asked. Models come from the registry and the user's store."""
    if json_path is not None and not json_path.absolute().parent.is_dir():
        raise OperatorError(f"cannot write {json_path}: there is no such folder")
    settings = settings or RuntimeSettings()
    models = open_models(load_registry(), ModelStore.default(), settings, embedders=embedders, detector=detector)
    report = evaluate(models, faces, pairs, only_held_out=only_held_out, quiet=quiet)
    if json_path is not None:
        write_json(report, json_path)
    return table(report)


def open_models(
    registry: Registry, store: ModelStore, settings: RuntimeSettings, *, embedders: Sequence[str], detector: str = ""
) -> Models:
    """Open a detector (the default unless named) and embedders (unless named the default and all that are here)."""
    detect = registry.wanted(detector, Task.DETECT, store)
    if embedders:
        chosen = [registry.model(name, Task.EMBED) for name in embedders]
    else:
        first = registry.wanted("", Task.EMBED, store)
        chosen = [first, *(card for card in _of(registry, Task.EMBED) if card != first and store.has(card))]
    return Models(
        ModelUsed(detect.name, detect.sha256),
        open_detector(detect, store, settings),
        {card.name: (ModelUsed(card.name, card.sha256), open_embedder(card, store, settings)) for card in chosen},
    )


def evaluate(
    models: Models,
    folder: Path,
    pairs_file: Path | None = None,
    *,
    only_held_out: bool = False,
    quiet: bool = False,
) -> Report:
    """Measure every embedder on a folder `<person>/<photo>` and a CSV of pairs (a, b, mated[, fold]).

    `only_held_out`: only people whom no shipped model was trained on are compared and searched for; galleries are
    filled with one-photograph people of the others, so that all that are held out and not enrolled are searched.
    """
    photos = photographs_in(folder)
    pairs = read_pairs(pairs_file, photos) if pairs_file else None
    fillers: frozenset[int] = frozenset()
    if only_held_out:
        tested = [photo for photo in photos if held_out(photo.person)]
        pairs = pairs and among(pairs, photos, tested)
        pairs = pairs or draw_pairs(tested)
        photos = [*tested, *alone([photo for photo in photos if not held_out(photo.person)])]
        fillers = frozenset(people_of(photos)[len(tested) :].tolist())
    pairs = pairs or draw_pairs(photos)
    templates = templates_of(
        photos, models.finder, {name: e for name, (_, e) in models.embedders.items()}, quiet=quiet
    )
    person = people_of(photos)
    left_out: list[str] = []
    reports = {}
    for name, (used, _) in models.embedders.items():
        stack = Photographs(templates.of[name], templates.found, person)
        open_set, missing = _identify(stack, fillers)
        left_out = missing
        reports[name] = EmbedderReport(used.sha256, _verify(stack, pairs), open_set)
    first = next(iter(reports))
    return Report(
        models={"detector": models.detector, "embedder": models.embedders[first][0]},
        verification=reports[first].verification,
        open_set=reports[first].open_set,
        protocol=_protocol(pairs, fillers if only_held_out else None),
        embedders=reports,
        data=DataUsed(
            len(photos),
            int(person.max()) + 1,
            digest_of(photos),
            [photo.name for photo, found in zip(photos, templates.found, strict=True) if not found],
        ),
        left_out=left_out,
    )


def write_json(report: Report, path: Path) -> None:
    """Write the report."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}") from error


def _verify(stack: Photographs, pairs: PairList) -> VerificationReport:
    a, b = pairs.rows.T
    score = np.einsum("nd,nd->n", stack.template[a], stack.template[b])
    lost = ~(stack.found[a] & stack.found[b])
    people = np.stack([stack.person[a], stack.person[b]], axis=1)
    compared = Pairs(
        people=people,
        mated=pairs.mated,
        fold=folds_by_person(people) if pairs.fold is None else pairs.fold,
        score=np.where(lost, np.nan, score).astype(np.float32),
        disjoint=pairs.fold is None,
    )
    try:
        rates = verification(compared)
    except ValueError as error:
        raise OperatorError(
            f"{len(pairs.mated)} pairs are too few for {FOLDS} folds: {error}", hint="give more people or more pairs"
        ) from error
    mated = int(pairs.mated.sum())
    return VerificationReport(
        pairs=len(pairs.mated),
        accuracy=float(np.mean(rates.accuracies)),
        accuracy_std=float(np.std(rates.accuracies, ddof=1)),
        tar=rates.accepted / mated,
        accuracy_interval=_range(rates.correct, len(pairs.mated)),
        tar_interval=_range(rates.accepted, mated),
        threshold=float(np.mean(rates.thresholds)),
        threshold_at_far=rates.threshold_at_far,
        mated=mated,
        non_mated=len(pairs.mated) - mated,
        without_face=int(lost.sum()),
    )


def _identify(stack: Photographs, fillers: frozenset[int]) -> tuple[list[OpenSetReport], list[str]]:
    """Run every setting that the set is large enough for; the others are named."""
    reports, left_out = [], []
    for setting in SETTINGS:
        drawn = [searches(stack, setting, SEED + i, fillers) for i in range(DRAWS)]
        draws = [draw for draw in drawn if draw is not None and len(draw.mates) and len(draw.impostors)]
        what = f"gallery {setting.gallery}, references {setting.references}, probes per template {setting.probes}"
        if len(draws) < DRAWS:
            left_out.append(
                f"{what}: {capacity(stack, setting, fillers):,} people can be enrolled, and somebody must be left"
            )
            continue
        for fpir in FPIRS:
            if int(fpir * min(len(draw.impostors) for draw in draws) + 1e-9) < 1:
                left_out.append(f"{what}: FPIR {fpir:g} is below one of {len(draws[0].impostors)} non-mated searches")
            else:
                reports.append(_point(setting, fpir, draws))
    return reports, left_out


def _point(setting: Setting, fpir: float, draws: Sequence[Searches]) -> OpenSetReport:
    thresholds = [threshold_at(draw.impostors, fpir) for draw in draws]
    rates = [float((draw.mates < threshold).mean()) for draw, threshold in zip(draws, thresholds, strict=True)]
    mated = round(float(np.mean([len(draw.mates) for draw in draws])))
    return OpenSetReport(
        gallery=setting.gallery,
        references=setting.references,
        probes_per_template=setting.probes,
        fpir=fpir,
        fnir=float(np.mean(rates)),
        threshold=float(np.mean(thresholds)),
        mated=mated,
        non_mated=round(float(np.mean([len(draw.impostors) for draw in draws]))),
        fnir_interval=_range(round(float(np.mean(rates)) * mated), mated),
        fnir_lowest=min(rates),
        fnir_highest=max(rates),
        photographs_at_least=setting.needed,
    )


def _protocol(pairs: PairList, fillers: frozenset[int] | None) -> dict[str, str]:
    folds = (
        "as listed; threshold chosen on the other nine"
        if pairs.fold is not None
        else "all pairs of one first person in one fold; threshold chosen on the pairs of the other nine that share "
        "nobody with the fold under test"
    )
    people = {} if fillers is None else {"people": _who(fillers)}
    return people | {
        "face": "detected at native size; of several the greatest of root of the box's area minus twice the distance "
        "from the picture's centre (pixels); a photograph without a face is listed and is a miss, a pair with one an "
        "error, a non-mated search with one is not counted",
        "verification": f"cosine; {pairs.rule}; {FOLDS} folds: {folds}; accuracy is the mean of the folds, "
        f"accuracy_std their standard deviation, the interval that of all right answers; TAR at FAR {FAR:g}: the "
        "lowest threshold that at most this share of the non-mated pairs reaches",
        "open_set": f"mated: {MATED_SHARE:.0%} of the people with enough photographs (photographs_at_least), at most "
        "the gallery's size, drawn; lowest file names enrolled, the nearest reference counts; the gallery "
        f"filled with one-photograph people; probes: at most {MOST_PROBES} further photographs of a mated "
        "person, fused in groups of probes_per_template by their plain mean; non-mated: every photograph of "
        "everybody else, in such groups; a miss: the person is not first at or above the threshold; "
        f"threshold: the lowest that at most FPIR of the non-mated searches reach; mean of {DRAWS} draws, "
        f"seeds {SEED} to {SEED + DRAWS - 1}; labels as they are in the set",
        "intervals": "95 %, Clopper-Pearson, pairs and searches taken as independent (photographs of one person are "
        "not quite); of FNIR, for the counts of one mean draw at its threshold: how uncertain the threshold itself "
        "is shows in the lowest and highest draw",
    }


def _who(fillers: frozenset[int]) -> str:
    return (
        "compared, enrolled as mated and searched for are only people held out of the training of the shipped models "
        f"(central/holdout.py); galleries are filled from {len(fillers):,} one-photograph people of the rest, "
        "and everybody held out who is not enrolled is a non-mated search"
    )


def _of(registry: Registry, task: Task) -> list[ModelCard]:
    cards = [card for card in registry.models.values() if card.task is task]
    if not cards:
        raise OperatorError(f"the model registry has no model to {task.value}")
    return cards


def _range(events: int, trials: int) -> Range:
    interval = exact(events, trials)
    return (interval.low, interval.high)
