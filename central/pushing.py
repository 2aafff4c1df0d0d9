"""Carries roll-outs: publishes stage by stage, reads what boxes report, goes on or halts.

All of it is in the store, and each step may be repeated: a centre that was stopped in the middle of a roll-out
goes on where it was. A box for which something was published and not yet noted gets it once more, no harm.
"""

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from central.fleet import wanted_devices
from central.parts import Change, Workshop, make
from central.publishing.repository import Publication, Repository
from central.rollout import Step, judge, members_of, next_step
from central.settings import CentreSettings
from central.store.devices import DeviceHealth
from central.store.rollouts import Member, Outcome, Plan, Published, Rollout, Status, What
from central.store.state import StateDir, Store
from central.template import Own
from central.watchlists import Embedder as AnyEmbedder
from central.watchlists import seal_for
from edge.errors import OperatorError, SightlineError
from edge.faces.embed import Embedder, open_embedder
from edge.faces.registry import ModelCard, ModelStore
from edge.faces.runtime import RuntimeSettings
from edge.wire import curve, sealing
from edge.wire.ids import new_id
from edge.wire.push import CONFIG, MODELS, WATCHLIST
from edge.wire.watchlist import Deployment

_log: structlog.stdlib.BoundLogger = structlog.get_logger("central.pushing")


class Pushing:
    """Begins roll-outs and carries them; any number of processes may hold one, one of them carries."""

    def __init__(
        self, store: Store, repository: Repository, payloads: Path, workshop: Workshop, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._repository = repository
        self._payloads = payloads
        self._workshop = workshop
        self._clock = clock

    # ------------------------------------------------------------------ beginning

    def begin(
        self,
        what: What,
        target: str,
        pack: Callable[[Path], None],
        *,
        stages: str,
        halts: bool,
        patience_ms: int,
        model: str = "",
    ) -> Rollout:
        """Begin a roll-out; whatever would fail for every box is told here. `pack` fills the folder it brings."""
        now_ms = self._clock()
        devices = wanted_devices(self._store, target)
        self._repository.desired(devices[0], now=_moment(now_ms))  # raises where nothing can be published
        if what is not What.CONFIG:
            self._configured(devices, now_ms)
        health = {one.device: one for one in self._store.devices.health()}
        plan = Plan(
            what=what,
            target=target,
            stages=stages,
            halts=halts,
            patience_ms=patience_ms,
            members=members_of(devices, health, stages, now_ms),
            model=model,
            payload=new_id(now_ms),
        )
        folder = self._payloads / plan.payload
        try:
            folder.mkdir(parents=True, mode=0o700)
            pack(folder)
            for device in devices if what is What.CONFIG else devices[:1]:
                self._make(plan, device)
            number = self._store.rollouts.begin(plan, now_ms)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        begun = self._store.rollouts.find(number)
        if begun is None:
            raise RuntimeError("a roll-out that was just begun is not there")
        return begun

    def _configured(self, devices: list[str], now_ms: int) -> None:
        """Refuse boxes that were never pushed a configuration: they take no state without one."""
        for device in devices:
            if CONFIG not in self._repository.published(device, now=_moment(now_ms)):
                raise OperatorError(
                    f"no configuration was pushed to {device} yet, and it takes nothing without one",
                    hint=f"first: sightline push config FILE --to {device}",
                )

    # ------------------------------------------------------------------ carrying

    def step(self, stop: threading.Event) -> None:
        """Take each roll-out that runs as far as it goes now."""
        running = self._store.rollouts.all(running=True)
        for rollout in running:
            self._carry(rollout, stop)
        self._tidy()

    def _carry(self, rollout: Rollout, stop: threading.Event) -> None:
        health = {one.device: one for one in self._store.devices.health()}
        members = tuple(self._judged(rollout, member, health) for member in rollout.members)
        rollout = replace(rollout, plan=replace(rollout.plan, members=members))
        following = next_step(rollout)
        match following.step:
            case Step.PUBLISH:
                self._publish_stage(rollout, health, stop)
            case Step.ADVANCE:
                self._store.rollouts.move(rollout.number, rollout.stage + 1)
                _log.info("push.stage", rollout=rollout.number, stage=rollout.stage + 2)
            case Step.HALT:
                self._end(rollout, Status.HALTED, following.why)
            case Step.FINISH:
                self._end(rollout, Status.DONE, following.why)
            case Step.WAIT:
                return

    def _judged(self, rollout: Rollout, member: Member, health: dict[str, DeviceHealth]) -> Member:
        judged = judge(member, health.get(member.device), self._clock(), rollout.plan.patience_ms)
        if judged != member:
            self._store.rollouts.note(rollout.number, judged)
            _log.info(
                "push.box",
                rollout=rollout.number,
                device=member.device,
                outcome=judged.outcome.value,
                why=judged.why,
            )
        return judged

    def _publish_stage(self, rollout: Rollout, health: dict[str, DeviceHealth], stop: threading.Event) -> None:
        for member in rollout.members:
            if member.stage == rollout.stage and member.outcome is Outcome.PLANNED and not stop.is_set():
                self._publish(rollout, member, health.get(member.device))

    def _publish(self, rollout: Rollout, member: Member, health: DeviceHealth | None) -> None:
        if health is None:
            self._store.rollouts.note(rollout.number, replace(member, outcome=Outcome.LEFT, why="it was revoked"))
            return
        now_ms = self._clock()
        try:
            change = self._make(rollout.plan, member.device)
            done = self._repository.change(member.device, change.files, replaces=change.replaces, now=_moment(now_ms))
        except SightlineError as error:
            failed = replace(member, outcome=Outcome.FAILED, why=str(error))
            self._store.rollouts.note(rollout.number, failed)
            _log.error("push.failed", rollout=rollout.number, device=member.device, why=str(error))
            return
        self._store.rollouts.publish(_record(member.device, done, change, now_ms))
        told = replace(
            member,
            outcome=Outcome.WAITING,
            word=done.word,
            published_at_ms=now_ms,
            was_seeing=health.seeing,
            had_troubles=len(health.troubles),
        )
        self._store.rollouts.note(rollout.number, told)

    def _make(self, plan: Plan, device: str) -> Change:
        held = self._repository.published(device, now=_moment(self._clock()))
        before = next(iter(self._store.rollouts.published(device).get(device, ())), None)
        return make(plan, self._payloads / plan.payload, device, held, before, self._workshop)

    def _end(self, rollout: Rollout, status: Status, why: str) -> None:
        if self._store.rollouts.end(rollout.number, status, why):
            say = _log.warning if status is Status.HALTED or why else _log.info
            say("push.ended", rollout=rollout.number, status=status.value, why=why)

    def _tidy(self) -> None:
        """Delete what roll-outs brought that have ended; a template may name what is nobody's business."""
        needed = {rollout.plan.payload for rollout in self._store.rollouts.all(running=True)}
        if not self._payloads.is_dir():
            return
        for folder in self._payloads.iterdir():
            if folder.name not in needed and folder.stat().st_mtime * 1000 < self._clock() - 3_600_000:
                shutil.rmtree(folder, ignore_errors=True)


def open_pushing(state: StateDir, settings: CentreSettings, store: Store, clock: Callable[[], int]) -> Pushing:
    """Return what begins and carries the roll-outs of a centre."""
    key = sealing.make_or_load(state.seal_key)
    own = Own(key.public, curve.make_or_load(state.curve_key).public, settings.endpoint)
    valid_ms = int(settings.watchlist_valid_h * 3600 * 1000)
    runtime = RuntimeSettings(provider=settings.models.provider, threads=settings.models.threads)
    loaded: dict[str, Embedder] = {}

    def load(card: ModelCard, files: ModelStore) -> Embedder:
        if card.sha256 not in loaded:
            loaded.clear()  # one at a time: a stage needs one, for all of its boxes
            loaded[card.sha256] = open_embedder(card, files, runtime)
        return loaded[card.sha256]

    def seal(device: str, embedder: AnyEmbedder, deployment: str) -> bytes:
        return seal_for(
            store,
            device,
            key,
            embedder,
            deployment=msgspec.json.decode(deployment, type=Deployment),
            now_ms=clock(),
            valid_ms=valid_ms,
        )

    def over(deployment: str) -> bool:
        return msgspec.json.decode(deployment, type=Deployment).until_ms <= clock()

    workshop = Workshop(own, seal, load, over, settings.models.embedder)
    repository = Repository(state.push, state.push_keys)
    return Pushing(store, repository, state.push_payloads, workshop, clock)


def _record(device: str, done: Publication, change: Change, now_ms: int) -> Published:
    return Published(
        device=device,
        word=done.word,
        at_ms=now_ms,
        config=done.part(CONFIG),
        watchlist=done.part(WATCHLIST),
        models=done.part(MODELS),
        embedder=change.embedder if done.part(WATCHLIST) else "",
        deployment=change.deployment if done.part(WATCHLIST) else "",
    )


def _moment(now_ms: int) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, UTC)
