"""`sightline push`: begins roll-outs, watches them, stops them. `sightline serve` is what carries them."""

import argparse
import fcntl
import getpass
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from central.verb import Arguments, Verb, add_state, now_ms, settings_of, state_of
from edge.errors import OperatorError, WorldError

if TYPE_CHECKING:
    from central.store.rollouts import Rollout, What
    from central.store.state import StateDir, Store

POLL_S = 0.5
Pack = Callable[[Path], None]


def _push_arguments(parser: argparse.ArgumentParser) -> None:
    does = parser.add_subparsers(dest="does", metavar="config|watchlist|model|status|stop|root", required=True)
    config = does.add_parser("config", help="give boxes a configuration, made of one template")
    config.add_argument("file", type=Path, metavar="FILE", help="the template; ids and keys are filled in")
    watchlist = does.add_parser("watchlist", help="give boxes the watchlist as it is now, sealed for each")
    watchlist.add_argument(
        "--model", default="", metavar="NAME", help="the boxes' embedder, if it is not the centre's"
    )
    model = does.add_parser("model", help="give boxes models, and a watchlist that belongs to them")
    model.add_argument("models", nargs="+", metavar="NAME|FILE", help="registered models, or files of cards (YAML)")
    for one in (watchlist, model):
        one.add_argument(
            "--deployment",
            type=Path,
            metavar="FILE",
            help="why, by whose authority, where, when (YAML); without it as in the watchlist before",
        )
    for one in (config, watchlist, model):
        _add_rollout(one)
    does.add_parser("status", help="say where roll-outs stand").add_argument(
        "rollout", nargs="?", type=int, metavar="N"
    )
    does.add_parser("stop", help="stop a roll-out").add_argument("rollout", type=int, metavar="N")
    root = does.add_parser("root", help="sign with the off-line key which key this centre pushes with")
    root.add_argument("--out", required=True, type=Path, metavar="FILE", help="the off-line key; made if missing")
    root.add_argument("--passphrase", action="store_true", help="ask for the passphrase of the off-line key")
    for one in does.choices.values():
        add_state(one)


def _add_rollout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="DEVICE|GROUP|all")
    parser.add_argument("--stages", default="1,10%,all", help="boxes reached after each stage: numbers, shares, all")
    parser.add_argument(
        "--halt-on-failure",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="stop when a box of a stage fails",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=15.0,
        metavar="MINUTES",
        help="how long a box may take to run it and be well",
    )
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="begin it and return")


def _push(arguments: Arguments) -> int:
    return {
        "config": _push_config,
        "watchlist": _push_watchlist,
        "model": _push_model,
        "status": _status,
        "stop": _stop,
        "root": _root,
    }[arguments.does](arguments)


def _push_config(arguments: Arguments) -> int:
    from central.store.rollouts import What
    from central.template import read_template, strangers
    from edge import durable
    from edge.wire.push import CONFIG

    template = read_template(arguments.file)

    def check(store: "Store") -> None:
        unknown = strangers(template, {device.id: device for device in store.devices.all()})
        if unknown:
            raise OperatorError(f"{arguments.file}: boxes.{unknown[0]} is no box", hint="see: sightline device list")

    return _begin(arguments, What.CONFIG, lambda folder: durable.write(folder / CONFIG, template), check)


def _push_watchlist(arguments: Arguments) -> int:
    from central.store.rollouts import What

    paper = _deployment(arguments)
    return _begin(arguments, What.WATCHLIST, paper, model=arguments.model)


def _push_model(arguments: Arguments) -> int:
    from central.parts import pack_models
    from central.store.rollouts import What

    paper = _deployment(arguments)

    def pack(folder: Path) -> None:
        paper(folder)
        pack_models(folder, arguments.models)

    return _begin(arguments, What.MODEL, pack)


def _deployment(arguments: Arguments) -> Pack:
    """Return what puts the deployment that is named, if any, to what a roll-out brings."""
    import msgspec

    from central.deployments import load_deployment
    from central.parts import DEPLOYMENT
    from edge import durable

    if arguments.deployment is None:
        return lambda _: None
    longest_h = settings_of(arguments).deployment_max_h
    deployment = load_deployment(arguments.deployment, now_ms=now_ms(), max_h=longest_h)
    return lambda folder: durable.write(folder / DEPLOYMENT, msgspec.json.encode(deployment))


def _begin(
    arguments: Arguments,
    what: "What",
    pack: Pack,
    check: Callable[["Store"], None] | None = None,
    *,
    model: str = "",
) -> int:
    from central.pushing import open_pushing
    from central.store.state import open_store

    if not 0 < arguments.patience <= 7 * 24 * 60:
        raise OperatorError("--patience is more than 0 minutes and at most a week")
    state = state_of(arguments)
    store = open_store(state)
    try:
        if check:
            check(store)
        rollout = open_pushing(state, settings_of(arguments), store, now_ms).begin(
            what,
            arguments.to,
            pack,
            stages=arguments.stages,
            halts=arguments.halt_on_failure,
            patience_ms=int(arguments.patience * 60_000),
            model=model,
        )
        print(f"roll-out {rollout.number}: {what.value} to {len(rollout.members)} of {arguments.to}", flush=True)
        if not _served(state):
            print("it begins when the centre runs: sightline serve", flush=True)
        return _watch(store, rollout) if arguments.wait else 0
    finally:
        store.close()


def _watch(store: "Store", rollout: "Rollout") -> int:
    """Print how a roll-out goes until it ends; whoever interrupts this does not stop it."""
    from central.store.rollouts import Outcome, Status

    said = {member.device: Outcome.PLANNED for member in rollout.members}
    while True:
        now = store.rollouts.find(rollout.number)
        if now is None:
            raise WorldError(f"roll-out {rollout.number} is not in the database any more")
        for member in now.members:
            if member.outcome is not said[member.device]:
                said[member.device] = member.outcome
                why = f": {member.why}" if member.why else ""
                print(f"stage {member.stage + 1}  {member.device}  {member.outcome.value}{why}", flush=True)
        if now.status is Status.DONE and not now.why:
            print(f"roll-out {now.number} is done")
            return 0
        if now.status is not Status.RUNNING:
            raise WorldError(
                f"roll-out {now.number} {now.status.value}: {now.why}",
                hint=f"see: sightline push status {now.number}",
            )
        time.sleep(POLL_S)


def _status(arguments: Arguments) -> int:
    from central.showing import rollout_in_words
    from central.store.state import open_store

    store = open_store(state_of(arguments))
    try:
        found = store.rollouts.all()
    finally:
        store.close()
    if arguments.rollout is not None:
        found = [one for one in found if one.number == arguments.rollout]
        if not found:
            raise OperatorError(f"there is no roll-out {arguments.rollout}", hint="see: sightline push status")
    for one in found:
        lines = list(rollout_in_words(one))
        print("\n".join(lines if arguments.rollout is not None or one is found[-1] else lines[:1]))
    if not found:
        print("nothing was pushed yet")
    return 0


def _stop(arguments: Arguments) -> int:
    from central.store.rollouts import Status
    from central.store.state import open_store

    store = open_store(state_of(arguments))
    try:
        stopped = store.rollouts.end(arguments.rollout, Status.STOPPED, "by the operator")
    finally:
        store.close()
    if not stopped:
        raise OperatorError(f"no roll-out {arguments.rollout} is under way", hint="see: sightline push status")
    print(f"roll-out {arguments.rollout} is stopped; boxes that have it keep it")
    return 0


def _root(arguments: Arguments) -> int:
    from central.publishing.ceremony import sign_root

    state = state_of(arguments)
    state.prepare()
    passphrase = getpass.getpass("passphrase of the off-line key: ").encode() if arguments.passphrase else None
    online, now = state.push_keys / "online.pem", datetime.fromtimestamp(now_ms() // 1000, UTC)
    done = sign_root(state.push, arguments.out, online, passphrase, now=now)
    print(f"root: {done.path}, version {done.version}, good until {done.expires:%Y-%m-%d}: provision boxes with it")
    print(f"off-line key: {arguments.out} ({done.root_key[:16]}…); keep it away from this machine, in two places")
    return 0


def _served(state: "StateDir") -> bool:
    """Return whether a process serves this state directory."""
    with state.lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


PUSH = Verb("give boxes a configuration, a watchlist or models, in stages", _push_arguments, _push)
