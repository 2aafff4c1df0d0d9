"""The verbs that bring a new box to this centre: invite it, see who announced itself, admit what was announced."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from central.verb import Arguments, add_state, now_ms, state_of
from edge.errors import OperatorError

if TYPE_CHECKING:
    from central.store.state import Store

MOST_H = 31 * 24


def hours(text: str) -> float:
    """Read a number of hours; argparse calls it by its name."""
    asked = float(text)
    if not 0 < asked <= MOST_H:
        raise ValueError
    return asked


def add_verbs(does: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `invite` and `pending`."""
    text = "make the file with which a new box becomes this centre's: `edge provision FILE`"
    invite = does.add_parser("invite", help=text, description=text)
    invite.add_argument("device", metavar="ID")
    invite.add_argument(
        "--endpoint",
        action="append",
        required=True,
        metavar="tcp://HOST:PORT",
        help="where the box finds this centre; give it more than once for several",
    )
    invite.add_argument("--out", required=True, type=Path, metavar="FILE", help="a secret, for that box alone")
    invite.add_argument("--valid-h", type=hours, default=72.0, metavar="N", help="hours; default: %(default)g")
    invite.add_argument(
        "--admit", action="store_true", help="admit the box as soon as it announces itself, without asking anybody"
    )
    pending = does.add_parser("pending", help="list the boxes that are invited or wait to be admitted")
    for one in (invite, pending):
        add_state(one)
        one.set_defaults(does=one.prog.split()[-1])


def invite_box(arguments: Arguments) -> None:
    """Make an invitation and write the file of its box."""
    from central.invitations import Centre, invite
    from central.store.state import open_store
    from edge import durable
    from edge.wire import curve, provisioning, sealing

    if arguments.out.exists():
        raise OperatorError(f"{arguments.out} is there already", hint="it may be another box's; move it away")
    state = state_of(arguments)
    store = open_store(state)
    try:
        centre = Centre(
            curve_public=curve.make_or_load(state.curve_key).public,
            seal_public=sealing.make_or_load(state.seal_key).public,
            push=state.push,
        )
        file = invite(
            store,
            centre,
            arguments.device,
            arguments.endpoint,
            now_ms=now_ms(),
            valid_h=arguments.valid_h,
            admit=arguments.admit,
        )
    finally:
        store.close()
    durable.write(arguments.out, provisioning.write(file))
    print(f"{arguments.out}: for {file.device} alone, once, until {file.expires}; on the box: edge provision FILE")
    if arguments.admit:
        print("whoever has the file is admitted with it: hand it over as you would a key")
    else:
        print(f"once the box has announced itself: sightline device admit {file.device}")


def list_pending(store: "Store") -> None:
    """Print each invitation: open, expired, or announced, with what to compare before admitting."""
    from edge.wire.provisioning import fingerprint

    for each in store.invitations.all():
        until = datetime.fromtimestamp(each.expires_at_ms // 1000, UTC).isoformat()
        if each.announced_at_ms is not None:
            if store.devices.device(each.curve_public) != each.device:
                print(f"{each.device}  waits  {fingerprint(each.device, each.curve_public, each.seal_public)}")
        elif now_ms() >= each.expires_at_ms:
            print(f"{each.device}  expired  {until}")
        else:
            print(f"{each.device}  invited  until {until}{', then admitted at once' if each.admit else ''}")


def admit_waiting(store: "Store", device: str) -> None:
    """Admit a box by the keys that it announced, and say their fingerprint."""
    from central.invitations import admit_announced
    from edge.wire.provisioning import fingerprint

    admitted = admit_announced(store, device, now_ms())
    print(f"admitted {admitted.id}: {fingerprint(admitted.id, admitted.curve_public, admitted.seal_public)}")
    print("is that what `edge provision` printed on the box? if not: sightline device revoke " + admitted.id)
