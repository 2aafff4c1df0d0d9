"""The verbs about boxes: which may connect, what they should run, and the keys of both."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from central import invitation_verbs
from central.push_verbs import PUSH
from central.verb import Arguments, Verb, add_state, now_ms, settings_of, state_of
from edge.errors import OperatorError

if TYPE_CHECKING:
    from central.store.state import Store

# ------------------------------------------------------------------ device, watchlist, keys


def _device_arguments(parser: argparse.ArgumentParser) -> None:
    does = parser.add_subparsers(dest="does", metavar="invite|pending|admit|revoke|list|show|group", required=True)
    invitation_verbs.add_verbs(does)
    admit = does.add_parser("admit", help="let a box connect: by the keys that it announced, or by those given here")
    admit.add_argument("device", metavar="ID")
    admit.add_argument("--keys", type=Path, metavar="FILE", help="what `edge keys` printed there")
    admit.add_argument("--curve", metavar="KEY", help="or its public CURVE key, 40 characters, in single quotes")
    admit.add_argument("--seal", metavar="KEY", help="and its public sealing key, 64 hex digits")
    revoke = does.add_parser("revoke", help="lock a box out at once")
    revoke.add_argument("device", metavar="ID")
    show = does.add_parser("show", help="say what a box should run, what it runs, and how it is")
    show.add_argument("device", metavar="ID")
    show.add_argument("--json", action="store_true", help="for programs")
    group = does.add_parser("group", help="say which boxes are in a group; without a name, list the groups")
    group.add_argument("group", nargs="?", metavar="GROUP")
    group.add_argument("devices", nargs="*", metavar="ID", help="all of its boxes; none: the group goes")
    for one in (admit, revoke, show, group, does.add_parser("list", help="list the boxes")):
        add_state(one)
        one.set_defaults(does=one.prog.split()[-1])


def _device(arguments: Arguments) -> int:
    from central.fleet import admit, revoke
    from central.showing import listed
    from central.store.state import open_store

    if arguments.does == "invite":
        invitation_verbs.invite_box(arguments)
        return 0
    store = open_store(state_of(arguments))
    try:
        if arguments.does == "pending":
            invitation_verbs.list_pending(store)
        elif arguments.does == "admit" and not (arguments.keys or arguments.curve or arguments.seal):
            invitation_verbs.admit_waiting(store, arguments.device)
        elif arguments.does == "admit":
            keys = _public_keys(arguments)
            device = admit(store, arguments.device, keys["curve"], keys["seal"], now_ms())
            print(f"admitted {device.id}")
        elif arguments.does == "revoke":
            revoke(store, arguments.device)
            _withdraw(store, arguments)
            print(f"revoked {arguments.device}")
        elif arguments.does == "show":
            _show(store, arguments)
        elif arguments.does == "group":
            _group(store, arguments)
        else:
            print(*listed(store), sep="\n")
    finally:
        store.close()
    return 0


def _withdraw(store: "Store", arguments: Arguments) -> None:
    """Publish nothing for a box any more; one that nothing was published for needs no root for that."""
    from central.publishing.repository import Repository

    if store.rollouts.published(arguments.device):
        state = state_of(arguments)
        now = datetime.fromtimestamp(now_ms() / 1000, UTC)
        Repository(state.push, state.push_keys).withdraw(arguments.device, now=now)
        store.rollouts.forget(arguments.device)


def _show(store: "Store", arguments: Arguments) -> None:
    import msgspec

    from central.showing import in_words, show

    shown = show(store, arguments.device)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(shown)).decode())
    else:
        print(*in_words(shown, now_ms()), sep="\n")


def _group(store: "Store", arguments: Arguments) -> None:
    from central.fleet import group

    if arguments.group is not None:
        group(store, arguments.group, arguments.devices)
        print(f"{arguments.group}: {', '.join(sorted(set(arguments.devices))) or 'no group any more'}")
        return
    for name, members in store.rollouts.groups().items():
        print(f"{name}: {', '.join(members)}")


def _public_keys(arguments: Arguments) -> dict[str, str]:
    """Return a box's public keys, from the file that it printed or from the options."""
    keys: Any = {"curve": arguments.curve, "seal": arguments.seal}
    if arguments.keys is not None:
        try:
            keys = json.loads(arguments.keys.read_bytes())
        except OSError as error:
            raise OperatorError(f"cannot read the keys {arguments.keys}: {error.strerror}") from error
        except ValueError:
            keys = None
    if not isinstance(keys, dict) or not all(isinstance(keys.get(name), str) for name in ("curve", "seal")):
        raise OperatorError(
            f"the public keys of {arguments.device} are missing",
            hint="on the box: edge keys > FILE; here: --keys FILE",
        )
    return {"curve": keys["curve"], "seal": keys["seal"]}


def _watchlist_arguments(parser: argparse.ArgumentParser) -> None:
    does = parser.add_subparsers(dest="does", metavar="seal", required=True)
    seal = does.add_parser("seal", help="make the watchlist of one box, which it alone can open")
    seal.add_argument("--device", required=True, metavar="ID")
    seal.add_argument(
        "--deployment", required=True, type=Path, metavar="FILE", help="why, by whose authority, where, when; YAML"
    )
    seal.add_argument("--out", required=True, type=Path, metavar="FILE")
    seal.add_argument("--model", metavar="NAME", help="the box's embedder, if it is not the centre's")
    add_state(seal)


def _watchlist(arguments: Arguments) -> int:
    from central.deployments import load_deployment, window_in_words
    from central.store.state import open_store
    from central.watchlists import seal_for, write_file
    from edge.faces.embed import open_embedder
    from edge.faces.registry import ModelStore, Task, load_registry
    from edge.faces.runtime import RuntimeSettings
    from edge.wire.sealing import make_or_load

    settings, state, now = settings_of(arguments), state_of(arguments), now_ms()
    deployment = load_deployment(arguments.deployment, now_ms=now, max_h=settings.deployment_max_h)
    files = ModelStore.default()
    card = load_registry().wanted(arguments.model or settings.models.embedder, Task.EMBED, files)
    runtime = RuntimeSettings(provider=settings.models.provider, threads=settings.models.threads)
    embedder = open_embedder(card, files, runtime)
    store = open_store(state)
    try:
        key = make_or_load(state.seal_key)
        valid_ms = int(settings.watchlist_valid_h * 3600 * 1000)
        sealed = seal_for(
            store, arguments.device, key, embedder, deployment=deployment, now_ms=now, valid_ms=valid_ms
        )
        entries, references = store.entries.counts()
    finally:
        store.close()
    write_file(arguments.out, sealed)
    print(f"{arguments.out}: {entries} people, {references} references, for {arguments.device} alone")
    print(f"deployment {deployment.id}: {window_in_words(deployment)}")
    return 0


def _keys_arguments(parser: argparse.ArgumentParser) -> None:
    add_state(parser)


def _keys(arguments: Arguments) -> int:
    from edge.wire import curve, sealing

    state = state_of(arguments)
    state.prepare()
    keys = {
        "curve": curve.make_or_load(state.curve_key).public,
        "seal": sealing.make_or_load(state.seal_key).public,
    }
    print(json.dumps(keys))
    return 0


FLEET = {
    "device": Verb("invite, admit, revoke, group, list or show boxes", _device_arguments, _device),
    "watchlist": Verb("seal the watchlist for a box", _watchlist_arguments, _watchlist),
    "push": PUSH,
    "keys": Verb("print the centre's public keys", _keys_arguments, _keys),
}
