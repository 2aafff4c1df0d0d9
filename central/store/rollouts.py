"""Groups of boxes, what was published for each box, and roll-outs: how far each one is, and why it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from central.store.database import Database
from edge.errors import OperatorError

KEPT_STATES = 4
"""Of each box: what it may still be running when it is told of the newest."""
_WHY_CHARACTERS = 1000


class What(Enum):
    """Which part of a box's state a roll-out replaces."""

    CONFIG = "config"
    WATCHLIST = "watchlist"
    MODEL = "model"


class Status(Enum):
    """Where a roll-out stands."""

    RUNNING = "running"
    DONE = "done"
    HALTED = "halted"
    """A box failed."""
    STOPPED = "stopped"
    """Somebody stopped it."""


class Outcome(Enum):
    """What became of one box in a roll-out."""

    PLANNED = "planned"
    WAITING = "waiting"
    """Published for it; it does not yet run that, or is not yet well."""
    WELL = "well"
    LEFT = "left"
    """It was revoked meanwhile, and nobody waits for it."""
    REFUSED = "refused"
    SILENT = "silent"
    """It did not run it in time."""
    WORSE = "worse"
    """It runs it, and is not as well as before."""
    FAILED = "failed"
    """Nothing could be made for it."""

    @property
    def settled(self) -> bool:
        """Return whether nothing more is waited for."""
        return self not in {Outcome.PLANNED, Outcome.WAITING}

    @property
    def failed(self) -> bool:
        """Return whether this fails its stage."""
        return self in {Outcome.REFUSED, Outcome.SILENT, Outcome.WORSE, Outcome.FAILED}


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was published for a box: a word for the whole and for each part, empty for a part that is not there."""

    device: str
    word: str
    at_ms: int
    config: str = ""
    watchlist: str = ""
    models: str = ""
    embedder: str = ""
    """The identity of the templates in its watchlist."""
    deployment: str = ""
    """Under which its watchlist may be used, as JSON."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A box in a roll-out."""

    device: str
    stage: int
    outcome: Outcome = Outcome.PLANNED
    word: str = ""
    published_at_ms: int = 0
    was_seeing: bool = False
    had_troubles: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be pushed, to whom, and how carefully."""

    what: What
    target: str
    """As the operator named it: a box, a group, or all."""
    stages: str
    halts: bool
    patience_ms: int
    members: tuple[Member, ...]
    model: str = ""
    """Name of the embedder for which watchlists are made, where nothing that is pushed says it."""
    payload: str = ""
    """Name of the folder of what it brings; empty: all of it is made per box."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """A plan and how far it is."""

    number: int
    plan: Plan
    begun_at_ms: int
    stage: int
    status: Status
    why: str

    @property
    def members(self) -> tuple[Member, ...]:
        """Return its boxes, by stage and id."""
        return self.plan.members


class Rollouts:
    """Keeps groups, what was published, and roll-outs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = database.tables

    # ------------------------------------------------------------------ groups

    def group(self, name: str, devices: Sequence[str]) -> None:
        """Say which boxes are in a group; none: there is no such group any more."""
        groups = self._tables.groups
        with self._database.write() as connection:
            connection.execute(delete(groups).where(groups.c.name == name))
            if devices:
                connection.execute(insert(groups), [{"name": name, "device": one} for one in sorted(set(devices))])

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return the boxes of each group."""
        groups = self._tables.groups
        found: dict[str, tuple[str, ...]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(groups).order_by(groups.c.name, groups.c.device)):
                found[row.name] = (*found.get(row.name, ()), row.device)
        return found

    # ------------------------------------------------------------------ what was published

    def publish(self, state: Published) -> None:
        """Remember what a box should run from now on, and what it was told before that it may still run."""
        published = self._tables.published
        with self._database.write() as connection:
            connection.execute(insert(published).values(**_columns(state)))
            numbers = select(published.c.number).where(published.c.device == state.device)
            kept = connection.scalars(numbers.order_by(published.c.number.desc()).limit(KEPT_STATES)).all()
            connection.execute(
                delete(published).where(published.c.device == state.device, published.c.number < min(kept))
            )

    def forget(self, device: str) -> None:
        """Forget what was published for a box: nothing is, any more."""
        published = self._tables.published
        with self._database.write() as connection:
            connection.execute(delete(published).where(published.c.device == device))

    def published(self, device: str | None = None) -> dict[str, list[Published]]:
        """Return what was published for each box, or for one, the newest first."""
        published = self._tables.published
        query = select(published).order_by(published.c.number.desc())
        if device is not None:
            query = query.where(published.c.device == device)
        found: dict[str, list[Published]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.device, []).append(_published(row))
        return found

    # ------------------------------------------------------------------ roll-outs

    def begin(self, plan: Plan, now_ms: int) -> int:
        """Keep a new roll-out and return its number; two at a time must have no box in common."""
        rollouts, boxes = self._tables.rollouts, self._tables.rollout_boxes
        wanted = {member.device for member in plan.members}
        with self._database.write() as connection:
            for other in self._all(connection, running=True):
                if common := sorted(wanted & {member.device for member in other.members}):
                    raise OperatorError(
                        f"roll-out {other.number} is under way for {common[0]}",
                        hint=f"wait, or: sightline push stop {other.number}",
                    )
            number = self._database.next(connection, "rollout")
            connection.execute(
                insert(rollouts).values(
                    number=number,
                    what=plan.what.value,
                    target=plan.target,
                    model=plan.model,
                    payload=plan.payload,
                    stages=plan.stages,
                    halts=plan.halts,
                    patience_ms=plan.patience_ms,
                    begun_at_ms=now_ms,
                    stage=0,
                    status=Status.RUNNING.value,
                    why="",
                )
            )
            connection.execute(insert(boxes), [{"rollout": number, **_member_columns(one)} for one in plan.members])
        return number

    def note(self, number: int, member: Member) -> None:
        """Keep what became of a box."""
        boxes = self._tables.rollout_boxes
        with self._database.write() as connection:
            connection.execute(
                update(boxes)
                .where(boxes.c.rollout == number, boxes.c.device == member.device)
                .values(**_member_columns(member))
            )

    def move(self, number: int, stage: int) -> None:
        """Go to another stage."""
        rollouts = self._tables.rollouts
        with self._database.write() as connection:
            connection.execute(update(rollouts).where(rollouts.c.number == number).values(stage=stage))

    def end(self, number: int, status: Status, why: str) -> bool:
        """End a roll-out that runs; return whether it did."""
        rollouts = self._tables.rollouts
        ended = (
            update(rollouts)
            .where(rollouts.c.number == number, rollouts.c.status == Status.RUNNING.value)
            .values(status=status.value, why=why[:_WHY_CHARACTERS])
        )
        with self._database.write() as connection:
            return bool(connection.execute(ended).rowcount)

    def find(self, number: int) -> Rollout | None:
        """Return a roll-out by its number."""
        return next((one for one in self.all() if one.number == number), None)

    def all(self, *, running: bool = False) -> list[Rollout]:
        """Return every roll-out, or those that run, the oldest first."""
        with self._database.read() as connection:
            return self._all(connection, running=running)

    def _all(self, connection: Connection, *, running: bool) -> list[Rollout]:
        rollouts, boxes = self._tables.rollouts, self._tables.rollout_boxes
        query = select(rollouts).order_by(rollouts.c.number)
        members = select(boxes).order_by(boxes.c.stage, boxes.c.device)
        if running:
            query = query.where(rollouts.c.status == Status.RUNNING.value)
            members = members.where(
                boxes.c.rollout.in_(select(rollouts.c.number).where(rollouts.c.status == Status.RUNNING.value))
            )
        of: dict[int, list[Member]] = {}
        for row in connection.execute(members):
            of.setdefault(row.rollout, []).append(_member(row))
        return [_rollout(row, tuple(of.get(row.number, ()))) for row in connection.execute(query)]


def _columns(state: Published) -> dict[str, Any]:
    return {name: getattr(state, name) for name in Published.__dataclass_fields__}


def _published(row: Any) -> Published:
    return Published(**{name: getattr(row, name) for name in Published.__dataclass_fields__})


def _member_columns(member: Member) -> dict[str, Any]:
    columns = {name: getattr(member, name) for name in Member.__dataclass_fields__}
    return columns | {"outcome": member.outcome.value, "why": member.why[:_WHY_CHARACTERS]}


def _member(row: Any) -> Member:
    columns = {name: getattr(row, name) for name in Member.__dataclass_fields__}
    return Member(**columns | {"outcome": Outcome(row.outcome)})


def _rollout(row: Any, members: tuple[Member, ...]) -> Rollout:
    plan = Plan(
        what=What(row.what),
        target=row.target,
        stages=row.stages,
        halts=row.halts,
        patience_ms=row.patience_ms,
        members=members,
        model=row.model,
        payload=row.payload,
    )
    return Rollout(
        number=row.number,
        plan=plan,
        begun_at_ms=row.begun_at_ms,
        stage=row.stage,
        status=Status(row.status),
        why=row.why,
    )
