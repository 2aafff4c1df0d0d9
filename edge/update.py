"""From what is announced to what runs: bring beside, verify, check, switch; or keep what runs and say why not.

Only watch can open a watchlist or see the camera, so these are judged where they are, after the switch: link
checks the rest before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.config import load_config
from edge.errors import IntegrityError, SightlineError, WorldError
from edge.faces.registry import Task
from edge.faces.runtime import open_session
from edge.running import chosen, model_store, pushed_registry
from edge.state.notes import Refusal
from edge.state.places import Places
from edge.state.trust import Announced, Look, PushError, Reason, Trust, word_for
from edge.watchlist import WatchlistSettings, open_watchlist
from edge.wire.push import CONFIG, MAX_MODEL_FILES, MODEL_FOLDER, MODELS, WATCHLIST
from edge.wire.sealing import SealingKey

Check = Callable[[Path], None]
"""Raises what is wrong with a state, given its folder."""


@dataclass(frozen=True)
class Outcome:
    """What came of looking for a new state."""

    runs: str
    """The state that runs now; empty where none was ever pushed."""
    changed: bool = False
    refused: str = ""
    """Why what is announced does not run; empty where it does."""
    word: str = ""
    """The state that is announced; empty where that could not be learnt."""
    version: int = 0
    """Of what is signed for this box: the same content published again has another."""
    coming: bool = False
    """Whether that state is staged, verified and checked, and waits to be switched to."""
    final: bool = False
    """Whether trying this version again would end the same."""
    cut: bool = False
    """Whether the way to the centre was cut, or the disk in trouble: nobody's refusal."""


def update(trust: Trust, places: Places, checks: tuple[Check, ...]) -> Outcome:
    """Run what is announced, if it is verified and passes every check; else what ran before goes on."""
    outcome = prepare(trust, places, checks)
    if not outcome.coming:
        return outcome
    places.switch(outcome.word)
    return Outcome(outcome.word, changed=True, word=outcome.word, version=outcome.version)


def prepare(trust: Trust, places: Places, checks: tuple[Check, ...], refused: Refusal | None = None) -> Outcome:
    """Stage what is announced, if it is new, verified and passes every check; what was `refused` is not tried."""
    current = places.current
    runs, word, version = current.name if current else "", "", 0
    try:
        with trust.look() as look:
            stage = places.stage()
            files = _announced(look, stage, current)
            if not files:
                raise PushError(Reason.MISSING, "nothing is published for this box")
            word, version = word_for(files), look.version()
            if word == runs:
                return Outcome(runs, word=word, version=version)
            if refused is not None and (word, version) == (refused.word, refused.version):
                return Outcome(runs, refused=refused.why, word=word, version=version)
            for name in files:
                if not (stage / name).exists():
                    look.bring(name, stage, held=current)
            look.tidy()
    except SightlineError as error:
        cut = isinstance(error, WorldError)
        return Outcome(runs, refused=str(error), word=word, version=version, cut=cut)
    try:
        for check in checks:
            check(stage)
    except SightlineError as error:
        final = not isinstance(error, WorldError)
        return Outcome(runs, refused=str(error), word=word, version=version, final=final)
    return Outcome(runs, word=word, version=version, coming=True)


def _announced(look: Look, stage: Path, current: Path | None) -> dict[str, Announced]:
    """Return all files of the state; the list of models is brought at once, since it names their files."""
    files = {name: found for name in (CONFIG, WATCHLIST, MODELS) if (found := look.announced(name))}
    if MODELS not in files:
        return files
    look.bring(MODELS, stage, held=current)
    cards = pushed_registry(stage).models.values()
    names = sorted({name for card in cards for name in (card.file, card.golden) if name})
    if len(names) > MAX_MODEL_FILES:
        raise PushError(Reason.OVERSIZE, f"{len(names)} model files, at most {MAX_MODEL_FILES}")
    for name in names:
        found = look.announced(f"{MODEL_FOLDER}{name}")
        if found is None:
            raise PushError(Reason.MISSING, f"model file {name}")
        files[found.name] = found
    return files


def check_config(device: str, centre: str, state: str = "") -> Check:
    """Return the check that a configuration parses and is for this box, its centre (a sealing key) and its folder."""

    def check(folder: Path) -> None:
        config = load_config(folder / CONFIG)
        if config.device.id != device:
            raise IntegrityError(f"the pushed configuration is for device {config.device.id}, this is {device}")
        if state and config.device.state != state:
            raise IntegrityError(
                f"the pushed configuration names {config.device.state} as device.state, this box has {state}"
            )
        if config.centre.sealing_key != centre:
            raise IntegrityError(
                "the pushed configuration names another centre", hint="a box changes its centre by provisioning"
            )

    return check


def check_models(folder: Path) -> None:
    """Load every pushed model, which verifies its file and tries it with its golden pictures."""
    if not (folder / MODELS).exists():
        return
    runtime = load_config(folder / CONFIG).models.runtime
    store = model_store(folder)
    for card in pushed_registry(folder).models.values():
        if not card.golden:
            raise IntegrityError(f"the pushed model {card.name} has no golden file", hint="push it with one")
        open_session(card, store, runtime)


def check_watchlist(key: SealingKey, now_ms: Callable[[], int]) -> Check:
    """Return the check that a watchlist opens, holds, and is for the model that would run."""

    def check(folder: Path) -> None:
        if not (folder / WATCHLIST).exists():
            return
        config = load_config(folder / CONFIG)
        open_watchlist(
            WatchlistSettings(file=str(folder / WATCHLIST)),
            key,
            author=config.centre.sealing_key,
            device=config.device.id,
            model_sha256=chosen(config.models.embedder, Task.EMBED, folder).card.template_identity,
            now_ms=now_ms(),
        )

    return check
