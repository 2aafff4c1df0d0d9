"""`sightline`: arguments, settings, one call, exit code."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from central.fleet_verbs import FLEET
from central.measuring import MEASURING
from central.verb import Arguments, Verb, add_state, now_ms, settings_of, state_of
from edge import program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `sightline` and return its exit code."""
    parsed = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    # Whatever is written here, database, keys, watchlists, is for its owner alone.
    os.umask(0o077)
    return program.run("sightline", lambda: int(parsed.run(parsed)), debug=parsed.debug)


# ------------------------------------------------------------------ serve


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)


def _serve(arguments: Arguments) -> int:
    from central.service import Ready, serve

    def announce(ready: Ready) -> None:
        print("sightline: the centre is ready")
        print(f"endpoint: {ready.endpoint}")
        print(f"curve key: {ready.curve_public}")
        print(f"sealing key: {ready.seal_public}")
        print(f"console: {ready.console}", flush=True)

    serve(state_of(arguments), settings_of(arguments), announce)
    return 0


# ------------------------------------------------------------------ enrol


def _enrol_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="PHOTO|DIR", help="a photograph, or a folder of them")
    parser.add_argument("--name", help="whose photographs these are; without it DIR holds <identity>/<photo>.jpg")
    add_state(parser)


def _enrol(arguments: Arguments) -> int:
    from central.enrolment import Enrolment, photographs
    from central.store.state import open_store
    from edge.faces.detect import open_detector
    from edge.faces.embed import open_embedder
    from edge.faces.registry import ModelStore, Task, load_registry
    from edge.faces.runtime import RuntimeSettings

    models = settings_of(arguments).models
    registry, files = load_registry(), ModelStore.default()
    runtime = RuntimeSettings(provider=models.provider, threads=models.threads)
    wanted = photographs(arguments.path, arguments.name)
    detector = open_detector(registry.wanted(models.detector, Task.DETECT, files), files, runtime)
    embedder = open_embedder(registry.wanted(models.embedder, Task.EMBED, files), files, runtime)
    store = open_store(state_of(arguments))
    try:
        enrolment = Enrolment(store, detector, embedder, now_ms)
        refused = 0
        for report in enrolment.enrol(wanted):
            word = "refused" if report.outcome.refused else "ok"
            why = f"{report.outcome.value}: {report.detail}" if report.detail else report.outcome.value
            print(f"{word:8}{report.name}  {report.path}  {why}", flush=True)
            refused += report.outcome.refused
        entries, references = store.entries.counts()
    finally:
        store.close()
    print(f"{len(wanted)} photographs, {refused} refused; enrolled now: {entries} people, {references} references")
    return 2 if refused else 0


# ------------------------------------------------------------------ all verbs

VERBS = {
    "serve": Verb("run the centre: take in candidates, verify, show alerts", _serve_arguments, _serve),
    "enrol": Verb("put people on the watchlist, from photographs", _enrol_arguments, _enrol),
    **FLEET,
    **MEASURING,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sightline", description="Live facial recognition that can be checked.")
    parser.add_argument("--debug", action="store_true", help="show where an error arose; may print data")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.help, description=verb.help)
        one.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        verb.arguments(one)
        one.set_defaults(run=verb.run)
    return parser


def _joined(words: Sequence[str]) -> list[str]:
    """Tie a key to its option: a CURVE key may begin with a dash, which argparse takes for another option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] in {"--curve", "--seal"}:
            joined[-1] = f"{joined[-1]}={word}"
        else:
            joined.append(word)
    return joined
