"""What `sightline bench` reports: where, with what, and how long each stage took."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.errors import OperatorError
from edge.faces.registry import ModelCard
from edge.faces.runtime import RuntimeSettings


class Machine(Struct, frozen=True):
    """Where and with what was measured."""

    date: str
    machine: str
    processor: str
    cores: int
    load: float
    """Processes that wanted to run, mean of the minute before."""
    threads: int
    versions: dict[str, str]
    models: dict[str, str]


class StageTime(Struct, frozen=True):
    """Milliseconds of one call of a stage."""

    stage: str
    median_ms: float
    p90_ms: float
    rounds: int


class PipelineTime(Struct, frozen=True, kw_only=True):
    """The straight line over the scene, per frame, with one embedder."""

    embedder: str
    frames: int
    embedded: int
    """Faces that were worth an embedding."""
    tracks: int
    process_ms: float
    """Mean of everything from the picture as decoded to judgement."""
    inference_ms: float
    """Mean of what passed inside the two models."""
    decode_ms: float
    """Mean of reading and decoding, as planes."""
    ratio: float
    """Process over inference."""
    fps: float
    """Frames a second, decoding included, on one thread beside the models' own."""


class Report(Struct, frozen=True):
    """What `sightline bench --json` writes."""

    machine: Machine
    stages: list[StageTime]
    ratios: dict[str, float]
    pipeline: list[PipelineTime]
    protocol: str


def table(report: Report) -> str:
    """Return the report for people."""
    machine = report.machine
    where = f"{machine.machine}, {machine.processor}, {machine.cores} cores, load {machine.load:.1f}"
    lines = [
        f"{machine.date}  {where}; {machine.threads} threads in a model",
        "  ".join(f"{name} {number}" for name, number in machine.versions.items()),
        "  ".join(f"{name} {sha256[:12]}" for name, sha256 in machine.models.items()),
        "",
        f"{'stage':44} {'median ms':>10} {'p90 ms':>10}",
    ]
    lines += [f"{each.stage:44} {each.median_ms:10.3f} {each.p90_ms:10.3f}" for each in report.stages]
    lines += ["", "ratio, median within rounds"]
    lines += [f"{name:60} {ratio:6.2f}" for name, ratio in report.ratios.items()]
    if report.pipeline:
        lines += ["", f"{'pipeline, per frame':38} {'all ms':>8} {'inference ms':>13} {'decode ms':>10} {'fps':>6}"]
    for whole in report.pipeline:
        lines.append(
            f"with {whole.embedder:33} {whole.process_ms:8.1f} {whole.inference_ms:13.1f} {whole.decode_ms:10.1f} "
            f"{whole.fps:6.1f}   {whole.frames} frames, {whole.tracks} tracks, {whole.embedded} faces embedded"
        )
    return "\n".join([*lines, "", report.protocol])


def this_machine(settings: RuntimeSettings, cards: Sequence[ModelCard], at_ms: int) -> Machine:
    """Return what the numbers hold for."""
    packages = ("onnxruntime", "numpy", "opencv-python-headless", "av")
    return Machine(
        date=datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=platform.machine(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        load=os.getloadavg()[0],
        threads=settings.threads,
        versions={"python": platform.python_version(), **{name: version(name) for name in packages}},
        models={card.name: card.sha256 for card in cards},
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))]
    return named[0] if named else "unnamed processor"


def write_json(report: Report, path: Path) -> None:
    """Write the report."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}") from error
