"""The verbs that fetch models, run a whole system on one machine, and measure it."""

import argparse
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from central.verb import Arguments, Verb


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--video", required=True, metavar="FILE|URL", help="a video file, or a camera's address")
    parser.add_argument("--watchlist", required=True, type=Path, metavar="DIR", help="<identity>/<photo>.jpg")
    parser.add_argument("--pace", choices=("real", "fast"), default="real", help="as filmed, or every frame at once")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="who walked where: also measures error rates")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after so long; a camera never ends by itself")
    parser.add_argument("--alert-threshold", type=float, metavar="COSINE", help="instead of the centre's default")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the box: pipeline.search_side=960",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep state and logs here")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")


def _replay(arguments: Arguments) -> int:
    from central.replay import Plan, replay, summary, write_json

    plan = Plan(
        video=arguments.video,
        watchlist=arguments.watchlist,
        pace=arguments.pace,
        truth=arguments.truth,
        seconds=arguments.seconds,
        alert_threshold=arguments.alert_threshold,
        overrides=tuple(arguments.set),
        keep=arguments.keep,
    )
    report = replay(plan, _say, stopped=_interrupted())
    print(f"\n{summary(report)}")
    if arguments.json:
        write_json(report, arguments.json)
    return 0


def _demo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")


def _demo(arguments: Arguments) -> int:
    from central.demo import demo
    from central.replay import summary, write_json

    report = demo(_say, stopped=_interrupted())
    print(f"\n{summary(report)}")
    if arguments.json:
        write_json(report, arguments.json)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupted() -> Callable[[], bool]:
    """Let the first Ctrl-C end the video and still print what was measured; the second ends everything."""
    pressed = threading.Event()

    def first(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, first)
    signal.signal(signal.SIGTERM, first)
    return pressed.is_set


def _evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--faces", required=True, type=Path, metavar="DIR", help="<identity>/<photo>.jpg")
    parser.add_argument("--pairs", type=Path, metavar="CSV", help="columns a, b, mated; drawn from DIR without it")
    parser.add_argument(
        "--model",
        "--embedder",
        action="append",
        default=[],
        dest="embedder",
        metavar="NAME",
        help="only this embedder, may be repeated; without it all that are here",
    )
    parser.add_argument("--detector", default="", metavar="NAME", help="what finds the faces; else the default")
    parser.add_argument(
        "--held-out", action="store_true", help="only people that no shipped model was trained on (a rule by name)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _evaluate(arguments: Arguments) -> int:
    from central.evaluation import run

    print(
        run(
            arguments.faces,
            pairs=arguments.pairs,
            json_path=arguments.json,
            embedders=arguments.embedder,
            detector=arguments.detector,
            only_held_out=arguments.held_out,
            quiet=arguments.quiet,
        )
    )
    return 0


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="only these; else all here")
    parser.add_argument("--stage", action="append", default=[], metavar="BEGIN", help="only stages that begin so")
    parser.add_argument("--threads", type=int, metavar="N", help="threads inside a model")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")


def _bench(arguments: Arguments) -> int:
    """Run the device's own bench: the centre does not import what only a box does."""
    options = ["--json", str(arguments.json)] if arguments.json else []
    options += [word for name in arguments.model for word in ("--model", name)]
    options += [word for name in arguments.stage for word in ("--stage", name)]
    options += ["--threads", str(arguments.threads)] if arguments.threads else []
    return subprocess.run([sys.executable, "-m", "edge", "bench", *options], check=False).returncode  # noqa: S603


def _models_arguments(parser: argparse.ArgumentParser) -> None:
    does = parser.add_subparsers(dest="does", metavar="pull|quantise|list", required=True)
    pull = does.add_parser("pull", help="fetch models, verified: what the defaults need, unless named")
    pull.add_argument("name", nargs="*", help="only these")
    pull.add_argument("--all", action="store_true", help="every model that has a public address")
    pull.add_argument("--mirror", type=Path, metavar="DIR", help="take the files from here, without the internet")
    pull.add_argument("--quiet", action="store_true", help="say nothing of what is already there")
    pull.add_argument("--optional", action="store_true", help="go on without what cannot be reached")
    quantise = does.add_parser("quantise", help="make an int8 form of an embedder")
    quantise.add_argument("--faces", required=True, type=Path, metavar="DIR", help="photographs to calibrate on")
    quantise.add_argument("--model", default="", metavar="NAME", help="which embedder")
    does.add_parser("list", help="list the registered models")


def _models(arguments: Arguments) -> int:
    from edge.faces.fetch import inventory, pull
    from edge.faces.registry import ModelStore, load_registry

    if arguments.does == "pull":
        pull(
            arguments.name,
            mirror=arguments.mirror,
            quiet=arguments.quiet,
            optional=arguments.optional,
            everything=arguments.all,
        )
    elif arguments.does == "quantise":
        from central.quantise import run

        print(run(arguments.faces, model=arguments.model))
    else:
        for line in inventory(load_registry(), ModelStore.default()):
            print(line)
    return 0


MEASURING = {
    "models": Verb("fetch, list or quantise models", _models_arguments, _models),
    "demo": Verb("a street scene, a camera, a box, the centre: alerts as they come", _demo_arguments, _demo),
    "replay": Verb("run the whole system on a video and measure it", _replay_arguments, _replay),
    "evaluate": Verb("measure error rates on a folder of photographs", _evaluate_arguments, _evaluate),
    "bench": Verb("time every stage of the pipeline", _bench_arguments, _bench),
}
