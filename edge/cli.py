"""The device's command line: arguments, configuration, one call, exit code; one verb per unit."""

import argparse
import json
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import program
from edge.errors import OperatorError

Verb = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; trouble is one line on standard error and the exit code of its kind."""
    options = _parser().parse_args(argv)
    verb: Verb = options.verb
    return program.run(f"edge {options.name}", lambda: verb(options), debug=options.debug)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edge", description="Sightline on the box beside a camera.")
    parser.add_argument("--debug", action="store_true", help="show where an internal error happened")
    verbs = parser.add_subparsers(dest="name", required=True, metavar="VERB")

    def verb(name: str, run: Verb, text: str, *, config: bool = True) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(verb=run)
        if config:
            made.add_argument(
                "--config", type=Path, default=Path("/etc/sightline/edge.yaml"), help="default: %(default)s"
            )
        return made

    verb("watch", _watch, "see faces and put candidates into the outbox")
    link = verb("link", _link, "carry the outbox to the centre")
    link.add_argument("--drain", action="store_true", help="end once watch has ended and the outbox is empty")
    verb("keys", _keys, "print this box's public keys, making them if there are none")
    verb("status", _status, "print what watch and link last said of themselves, as JSON")
    verb("check", _check, "try every part of the configuration and say what is wrong")
    bench = verb("bench", _bench, "time every stage of the pipeline", config=False)
    bench.add_argument("--model", action="append", default=[], metavar="NAME", help="only these; else all here")
    bench.add_argument(
        "--stage", action="append", default=[], metavar="BEGIN", help="only stages whose names begin so"
    )
    bench.add_argument("--threads", type=int, metavar="N", help="threads inside a model")
    bench.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")
    return parser


def _watch(options: argparse.Namespace) -> int:
    from edge.config import load_config
    from edge.service import run_watch

    run_watch(load_config(options.config), _stop_on_signals())
    return 0


def _link(options: argparse.Namespace) -> int:
    from edge.config import load_config
    from edge.service import run_link

    run_link(load_config(options.config), _stop_on_signals(), drain=options.drain)
    return 0


def _keys(options: argparse.Namespace) -> int:
    from edge.config import load_config
    from edge.service import public_keys

    print(json.dumps(public_keys(load_config(options.config))))
    return 0


def _status(options: argparse.Namespace) -> int:
    from edge.config import load_config
    from edge.outbox import Outbox
    from edge.service import Home

    config = load_config(options.config)
    path = Home(Path(config.device.state)).outbox
    if not path.exists():
        raise OperatorError(f"there is no outbox {path} yet", hint="edge watch makes it when it starts")
    with Outbox.open(path, config.outbox) as outbox:
        reports = {name: json.loads(body) for name, body in outbox.reports().items()}
        print(json.dumps({**reports, "waiting": outbox.count(), "shed": outbox.shed()}, indent=2))
    return 0


def _check(options: argparse.Namespace) -> int:
    from edge.check import check

    return check(options.config, print)


def _bench(options: argparse.Namespace) -> int:
    from edge.bench import run

    run(options.json, only=options.model, threads=options.threads, stages=options.stage)
    return 0


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
