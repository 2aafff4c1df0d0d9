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
MAX_SECONDS = 600.0
STATE = Path("/var/lib/sightline")
BY_HAND, PROVISIONED = Path("/etc/sightline/edge.yaml"), STATE / "provisioned.yaml"


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
            made.add_argument("--config", type=Path, default=standard_place(), help="default: %(default)s")
        return made

    verb("watch", _watch, "see faces and put candidates into the outbox")
    link = verb("link", _link, "carry the outbox to the centre")
    link.add_argument("--drain", action="store_true", help="end once watch has ended and the outbox is empty")
    text = "become the box that a file from `sightline device invite` is for"
    provision = verb("provision", _provision, text, config=False)
    provision.add_argument("file", type=Path, metavar="FILE")
    provision.add_argument("--state", type=Path, default=STATE, metavar="DIR", help="default: %(default)s")
    provision.add_argument(
        "--again", action="store_true", help="forget the centre before, the keys and all that waits for it"
    )
    verb("keys", _keys, "print this box's public keys, making them if there are none")
    verb("status", _status, "print what watch and link last said of themselves, as JSON")
    trying = verb("check", _check, "try every part of the configuration and say what is wrong")
    trying.add_argument("--json", action="store_true", help="print JSON instead, at the end")
    examine = verb("examine", _examine, "try a state that was pushed; link does this by itself", config=False)
    for name in ("--device", "--centre", "--state"):
        examine.add_argument(name, required=True)
    examine.add_argument("folder", type=Path)
    bench = verb("bench", _bench, "time every stage of the pipeline", config=False)
    bench.add_argument("--model", action="append", default=[], metavar="NAME", help="only these; else all here")
    bench.add_argument(
        "--stage", action="append", default=[], metavar="BEGIN", help="only stages whose names begin so"
    )
    bench.add_argument("--threads", type=int, metavar="N", help="threads inside a model")
    bench.add_argument("--json", type=Path, metavar="OUT", help="also write the numbers here")
    _add_camera(verb("camera", _probe, "find and try cameras", config=False))
    return parser


def standard_place() -> Path:
    """Return where this box's configuration is: what a person wrote, else what provisioning wrote."""
    return PROVISIONED if PROVISIONED.exists() and not BY_HAND.exists() else BY_HAND


def _add_camera(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    text = "say who a camera is, whether it lets this box in, and what its stream shows"
    probe = verbs.add_parser("probe", help=text, description=text)
    probe.add_argument(
        "target",
        metavar="URL|HOST",
        help="an Axis camera's host, or a stream's address: rtsp://, http(s):// with a path",
    )
    probe.add_argument("--credentials", metavar="FILE", help="one line, username:password; nobody else may read it")
    probe.add_argument("--user", metavar="NAME", help="ask for this user's password at the terminal")
    probe.add_argument(
        "--ca-file",
        type=Path,
        metavar="FILE",
        help="ask by HTTPS; believe this authority, or this camera's own certificate",
    )
    probe.set_defaults(verb=_probe)
    text = "list the Axis cameras that announce themselves nearby"
    discover = verbs.add_parser("discover", help=text, description=text)
    discover.add_argument("--seconds", type=seconds, default=3.0, metavar="N", help="how long; default: %(default)s")
    discover.add_argument("--interface", metavar="ADDRESS", help="only on the interface with this address; else all")
    discover.set_defaults(verb=_discover)
    for each in (probe, discover):
        each.add_argument("--json", action="store_true", help="print JSON instead")


def seconds(text: str) -> float:
    """Read a number of seconds; argparse calls it by its name."""
    asked = float(text)
    if not 0 < asked <= MAX_SECONDS:
        raise ValueError
    return asked


def _watch(options: argparse.Namespace) -> int:
    from edge.config import load
    from edge.service import run_watch

    run_watch(load(options.config), _stop_on_signals())
    return 0


def _link(options: argparse.Namespace) -> int:
    from edge.config import load_base
    from edge.service import run_link

    run_link(load_base(options.config), _stop_on_signals(), drain=options.drain)
    return 0


def _keys(options: argparse.Namespace) -> int:
    from edge.config import load_base
    from edge.service import public_keys

    print(json.dumps(public_keys(load_base(options.config))))
    return 0


def _provision(options: argparse.Namespace) -> int:
    from edge.provision import provision

    provision(options.file, options.state, _say, again=options.again)
    return 0


def _status(options: argparse.Namespace) -> int:
    from edge.config import load_base
    from edge.outbox import Outbox
    from edge.running import current_word
    from edge.service import Home

    config = load_base(options.config)
    home = Home(Path(config.device.state))
    path = home.outbox
    if not path.exists():
        raise OperatorError(f"there is no outbox {path} yet", hint="edge watch makes it when it starts")
    with Outbox.open(path, config.outbox) as outbox:
        reports = {name: json.loads(body) for name, body in outbox.reports().items()}
        print(
            json.dumps(
                {**reports, "state": current_word(home.pushed), "waiting": outbox.count(), "shed": outbox.shed()},
                indent=2,
            )
        )
    return 0


def _check(options: argparse.Namespace) -> int:
    from edge.check import check

    return check(options.config, print, as_json=options.json)


def _examine(options: argparse.Namespace) -> int:
    from edge.examining import examine

    examine(options.folder, options.device, options.centre, options.state)
    return 0


def _probe(options: argparse.Namespace) -> int:
    import getpass

    import msgspec

    from edge.camera.credentials import Credentials, read_credentials
    from edge.probe import Access, probe

    login = read_credentials(options.credentials) if options.credentials else None
    if options.user and login is None:
        login = Credentials(options.user, getpass.getpass(f"password of {options.user}: "))
    report = probe(options.target, Access(login=login, ca_file=options.ca_file), _nothing if options.json else _say)
    if options.json:
        print(msgspec.json.encode(report).decode())
    return report.exit_code


def _discover(options: argparse.Namespace) -> int:
    import msgspec

    from edge.probe import neighbours

    found = neighbours(options.seconds, options.interface, _nothing if options.json else _say)
    if options.json:
        print(msgspec.json.encode(found).decode())
    return 0


def _say(line: str) -> None:
    """Print at once, also into a pipe: a step may take seconds."""
    print(line, flush=True)


def _nothing(line: str) -> None:
    """Keep it for the end."""


def _bench(options: argparse.Namespace) -> int:
    from edge.bench import run

    run(options.json, only=options.model, threads=options.threads, stages=options.stage)
    return 0


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
