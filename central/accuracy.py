"""The accuracy report: what was measured of which models on which data, as JSON and as a table."""

from collections.abc import Iterator

from msgspec import Struct, field

Range = tuple[float, float]


class VerificationReport(Struct, frozen=True, kw_only=True):
    """Verification on pairs; rates are fractions, intervals 95 %, exact, pairs taken as independent."""

    pairs: int
    accuracy: float
    accuracy_std: float
    tar: float = field(name="tar_at_far_1e-3")
    accuracy_interval: Range
    tar_interval: Range
    threshold: float
    """Mean of the ten thresholds that accuracy was measured at."""
    threshold_at_far: float
    mated: int
    non_mated: int
    without_face: int
    """Pairs with a photograph in which no face was found: counted as errors."""


class OpenSetReport(Struct, frozen=True, kw_only=True):
    """One operating point of open-set identification: means over the draws, counts of one mean draw."""

    gallery: int
    references: int
    probes_per_template: int
    fpir: float
    fnir: float
    threshold: float
    mated: int
    non_mated: int
    fnir_interval: Range
    fnir_lowest: float
    fnir_highest: float
    photographs_at_least: int


class EmbedderReport(Struct, frozen=True):
    """All that was measured of one embedder."""

    sha256: str
    verification: VerificationReport
    open_set: list[OpenSetReport]


class ModelUsed(Struct, frozen=True):
    """A model and its file's hash."""

    name: str
    sha256: str


class DataUsed(Struct, frozen=True):
    """What was measured on."""

    photographs: int
    people: int
    sha256: str
    without_face: list[str]


class Report(Struct, frozen=True):
    """What `sightline evaluate --json` writes; the top-level rates are the first embedder's."""

    models: dict[str, ModelUsed]
    verification: VerificationReport
    open_set: list[OpenSetReport]
    protocol: dict[str, str]
    embedders: dict[str, EmbedderReport]
    data: DataUsed
    left_out: list[str]


def table(report: Report) -> str:
    """Return the report for people: every rate in per cent with its interval."""
    return "\n".join([*_head(report), "", *_verification(report), "", *_open_set(report), "", *_tail(report)])


def _head(report: Report) -> Iterator[str]:
    detector = report.models["detector"]
    yield f"detector   {detector.name} (sha256 {detector.sha256[:12]})"
    for name, embedder in report.embedders.items():
        yield f"embedder   {name} (sha256 {embedder.sha256[:12]})"
    data = report.data
    yield f"data       {data.photographs:,} photographs of {data.people:,} people (sha256 {data.sha256[:12]})"
    if data.without_face:
        shown = ", ".join(data.without_face[:5])
        more = f" and {len(data.without_face) - 5} more" if len(data.without_face) > 5 else ""
        yield f"no face    in {len(data.without_face)} photographs: {shown}{more}"


def _verification(report: Report) -> Iterator[str]:
    first = report.verification
    yield f"Verification: {first.pairs:,} pairs, {first.mated:,} of them mated; per cent (95 % interval)"
    yield f"  {'embedder':24} {'accuracy':>22} {'std':>5} {'TAR at FAR 1e-3':>22} {'threshold':>9}"
    for name, embedder in report.embedders.items():
        rates = embedder.verification
        yield (
            f"  {name:24} {_rate(rates.accuracy, rates.accuracy_interval):>22} {100 * rates.accuracy_std:5.2f} "
            f"{_rate(rates.tar, rates.tar_interval):>22} {rates.threshold:9.3f}"
        )


def _open_set(report: Report) -> Iterator[str]:
    yield "Open-set identification: FNIR, per cent (95 % interval at the threshold; lowest and highest of the draws)"
    yield (
        f"  {'embedder':20} {'gallery':>7} {'refs':>4} {'probes':>6} {'photos':>6} {'FPIR':>6} {'FNIR':>22} "
        f"{'draws':>13} {'threshold':>9} {'mated':>6} {'non-mated':>9}"
    )
    for name, embedder in report.embedders.items():
        for point in embedder.open_set:
            draws = f"{100 * point.fnir_lowest:.1f} - {100 * point.fnir_highest:.1f}"
            yield (
                f"  {name:20} {point.gallery:7,} {point.references:4} {point.probes_per_template:6} "
                f"{point.photographs_at_least:6} {point.fpir:6g} {_rate(point.fnir, point.fnir_interval):>22} "
                f"{draws:>13} {point.threshold:9.3f} {point.mated:6,} {point.non_mated:9,}"
            )


def _tail(report: Report) -> Iterator[str]:
    for line in report.left_out:
        yield f"left out: {line}"
    for name, text in report.protocol.items():
        yield f"{name}: {text}"


def _rate(rate: float, interval: Range) -> str:
    return f"{100 * rate:.2f} ({100 * interval[0]:.2f} - {100 * interval[1]:.2f})"
