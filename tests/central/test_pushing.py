"""Roll-outs: a real repository on disk, a real database, boxes that report."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml

from central.fleet import group, revoke
from central.parts import DEPLOYMENT, Workshop, pack_models
from central.rollout import stages_of
from central.store.rollouts import Outcome, Status, What
from central.store.state import StateDir, Store, open_store
from central.template import Own
from central.watchlists import Embedder, seal_for
from edge import durable
from edge.errors import OperatorError
from edge.faces.registry import CHECKOUT, load_registry
from edge.wire import sealing
from edge.wire.push import CONFIG, MODELS, WATCHLIST
from edge.wire.watchlist import Deployment
from tests.central.fleet import PATIENCE_MS, TEMPLATE, Centre
from tests.central.stand_ins import PatchEmbedder, enrol
from tests.deploying import deployment

pytestmark = pytest.mark.slow

LATER = timedelta(milliseconds=PATIENCE_MS + 1)
HOUR_MS = 3_600_000
SHIPPED = "sightline-embedder"


@pytest.fixture
def centre(state: StateDir, store: Store) -> Centre:
    made = Centre(state, store)
    made.sign_root()
    return made


def outcomes(centre: Centre, number: int) -> dict[str, Outcome]:
    return {member.device: member.outcome for member in centre.rollout(number).members}


@pytest.mark.parametrize(
    ("text", "boxes", "reached"),
    [
        ("1,10%,all", 40, (1, 4, 40)),
        ("1,10%,all", 5, (1, 5)),
        ("1,10%,all", 1, (1,)),
        ("all", 3, (3,)),
        ("50%,all", 3, (2, 3)),
        ("2, 500, all", 3, (2, 3)),
    ],
)
def test_stages_say_how_many_boxes_are_reached(text: str, boxes: int, reached: tuple[int, ...]) -> None:
    assert stages_of(text, boxes) == reached


@pytest.mark.parametrize("text", ["", "1", "0,all", "-1,all", "ten,all", "1,10%", "all,1", "%,all", "1.5,all"])
def test_stages_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(OperatorError):
        stages_of(text, 10)


def test_the_next_stage_begins_when_every_box_of_this_one_is_well(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}") for number in range(5)]
    number = centre.push("all", stages="1,3,all")
    centre.turn()
    assert [member.outcome for member in centre.rollout(number).members].count(Outcome.WAITING) == 1
    centre.turn(steps=3)
    assert centre.rollout(number).stage == 0  # it has not said that it runs it
    centre.turn(*boxes, steps=8)
    assert centre.rollout(number).status is Status.DONE
    assert set(outcomes(centre, number).values()) == {Outcome.WELL}
    assert all(box.runs for box in boxes)


def test_each_box_is_told_its_own_name_and_its_centre(centre: Centre) -> None:
    boxes = [centre.box(name) for name in ("gate-1", "gate-2")]
    centre.push("all", stages="all")
    centre.turn(*boxes, steps=2)
    for box in boxes:
        told = yaml.safe_load(centre.repository.published(box.id, now=centre_now(centre))[CONFIG].read_bytes())
        assert told["device"] == {"id": box.id, "state": "/var/lib/sightline"}
        assert told["centre"] == {"sealing_key": sealing.make_or_load(centre.state.seal_key).public}
        assert told["camera"]["id"] == "door"


def test_what_differs_from_box_to_box_is_laid_over_the_rest(centre: Centre) -> None:
    boxes = [centre.box(name) for name in ("gate-1", "gate-2")]
    template = TEMPLATE + b"boxes: {gate-2: {camera: {id: yard}}}\n"
    centre.push("all", pack=lambda folder: durable.write(folder / CONFIG, template), stages="all")
    centre.turn(*boxes, steps=2)
    cameras = {}
    for box in boxes:
        told = yaml.safe_load(centre.repository.published(box.id, now=centre_now(centre))[CONFIG].read_bytes())
        assert "boxes" not in told
        cameras[box.id] = told["camera"]
    assert {box: camera["id"] for box, camera in cameras.items()} == {"gate-1": "door", "gate-2": "yard"}
    assert cameras["gate-2"]["source"] == cameras["gate-1"]["source"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (b"camera: [", "is not YAML"),
        (b"- camera", "holds no settings"),
        (b"camera: 7", "camera holds no settings"),
        (TEMPLATE + b"device: {id: gate-9}", "device.id is 'gate-9', for this box it is 'gate-1'"),
        (TEMPLATE + b"centre: {sealing_key: '00'}", "centre.sealing_key"),
        (b"link: {endpoints: ['tcp://192.0.2.1:5810']}", "names no camera for gate-1"),
    ],
)
def test_a_template_that_cannot_be_right_reaches_no_box(centre: Centre, template: bytes, message: str) -> None:
    centre.box("gate-1")
    with pytest.raises(OperatorError, match=message):
        centre.push("gate-1", pack=lambda folder: durable.write(folder / CONFIG, template))
    assert centre.store.rollouts.all() == []
    assert list(centre.state.push_payloads.iterdir()) == []
    assert centre.repository.desired("gate-1", now=centre_now(centre)) is None


def test_a_box_that_refuses_halts_the_roll_out(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}", refuses="its camera does not open" * (number == 0)) for number in range(3)]
    number = centre.push("all")
    centre.turn(*boxes, steps=5)
    halted = centre.rollout(number)
    assert halted.status is Status.HALTED
    assert halted.why == "box-0 refused: its camera does not open"
    assert [box.runs != "" for box in boxes] == [False, False, False]
    assert outcomes(centre, number)["box-2"] is Outcome.PLANNED


def test_what_a_box_refused_before_may_be_pushed_again(centre: Centre) -> None:
    box = centre.box("box-1", refuses="its camera does not open")
    centre.push("box-1")
    centre.turn(box, steps=3)
    number = centre.push("box-1")
    centre.turn(box, steps=2)
    assert outcomes(centre, number)["box-1"] is Outcome.WAITING  # it still says what it said of the last one
    box.refuses = ""
    centre.turn(box, steps=2)
    assert centre.rollout(number).status is Status.DONE


def test_without_halting_the_others_get_it_and_the_failure_is_told(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}", refuses="no" * (number == 0)) for number in range(3)]
    number = centre.push("all", halts=False)
    centre.turn(*boxes, steps=8)
    ended = centre.rollout(number)
    assert (ended.status, ended.why) == (Status.DONE, "1 of 3 boxes failed")
    assert [bool(box.runs) for box in boxes] == [False, True, True]


@pytest.mark.parametrize(
    ("case", "outcome", "why"),
    [
        ("off", Outcome.SILENT, "nothing was heard of it"),
        ("blind", Outcome.WORSE, "its camera was seeing and is not any more"),
        ("ails", Outcome.WORSE, "it has a new trouble: the disk is full"),
    ],
)
def test_a_box_that_does_not_come_back_as_well_fails_when_patience_ends(
    centre: Centre, case: str, outcome: Outcome, why: str
) -> None:
    box = centre.box("box-1")
    number = centre.push("box-1")
    box.off, box.seeing = case == "off", case != "blind"
    box.troubles = ("the disk is full",) if case == "ails" else ()
    centre.turn(box, steps=3)
    assert outcomes(centre, number)["box-1"] is Outcome.WAITING
    centre.clock.pass_(LATER)
    centre.turn(box, steps=2)
    assert outcomes(centre, number)["box-1"] is outcome
    assert centre.rollout(number).why == f"box-1 {outcome.value}: {why}"


def test_a_box_that_is_blind_for_a_moment_is_waited_for(centre: Centre) -> None:
    box = centre.box("box-1")
    number = centre.push("box-1")
    box.seeing = False
    centre.turn(box, steps=3)
    box.seeing = True
    centre.turn(box, steps=2)
    assert centre.rollout(number).status is Status.DONE


def test_a_box_that_was_blind_before_need_not_see_after(centre: Centre) -> None:
    box = centre.box("box-1", seeing=False)
    number = centre.push("box-1")
    centre.turn(box, steps=3)
    assert centre.rollout(number).status is Status.DONE


def test_a_box_that_is_revoked_meanwhile_is_not_waited_for(centre: Centre) -> None:
    box = centre.box("box-1", off=True)
    number = centre.push("box-1")
    centre.turn(box)
    revoke(centre.store, "box-1")
    centre.turn(box, steps=2)
    assert outcomes(centre, number) == {"box-1": Outcome.LEFT}
    assert centre.rollout(number).status is Status.DONE


def test_a_roll_out_goes_on_after_a_restart_of_the_centre(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}") for number in range(4)]
    number = centre.push("all", stages="1,all")
    centre.turn(*boxes, steps=2)
    centre.store.close()
    again = Centre(centre.state, open_store(centre.state), centre.clock)
    try:
        again.turn(*boxes, steps=5)
        assert again.rollout(number).status is Status.DONE
        assert set(outcomes(again, number).values()) == {Outcome.WELL}
    finally:
        again.store.close()


def test_a_roll_out_that_is_stopped_reaches_nobody_else(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}") for number in range(3)]
    number = centre.push("all")
    centre.turn()
    assert centre.store.rollouts.end(number, Status.STOPPED, "by the operator")
    centre.turn(*boxes, steps=5)
    assert [bool(box.runs) for box in boxes] == [True, False, False]
    assert not centre.store.rollouts.end(number, Status.STOPPED, "again")


def test_two_roll_outs_at_a_time_have_no_box_in_common(centre: Centre) -> None:
    for name in ("box-1", "box-2"):
        centre.box(name)
    number = centre.push("box-1")
    with pytest.raises(OperatorError, match=f"roll-out {number} is under way for box-1"):
        centre.push("all")
    centre.push("box-2")


def test_boxes_that_are_well_go_first(centre: Centre) -> None:
    centre.box("a-blind", seeing=False)
    centre.box("b-off", off=True)
    centre.box("c-well")
    members = centre.rollout(centre.push("all", stages="1,2,all")).members
    assert [member.device for member in members] == ["c-well", "a-blind", "b-off"]


def test_a_group_is_the_boxes_that_it_names(centre: Centre) -> None:
    boxes = [centre.box(f"box-{number}") for number in range(3)]
    group(centre.store, "doors", ["box-0", "box-2"])
    group(centre.store, "yard", ["box-2"])
    centre.push("doors", stages="all")
    centre.turn(*boxes, steps=2)
    assert [bool(box.runs) for box in boxes] == [True, False, True]
    group(centre.store, "doors", [])
    assert centre.store.rollouts.groups() == {"yard": ("box-2",)}


@pytest.mark.parametrize("name", ["all", "box-1", "no such\nname", ""])
def test_a_group_has_a_name_of_its_own(centre: Centre, name: str) -> None:
    centre.box("box-1")
    with pytest.raises(OperatorError):
        group(centre.store, name, ["box-1"])


def test_a_push_keeps_what_is_not_its_own(centre: Centre) -> None:
    box = centre.box("box-1")
    now = centre_now(centre)
    centre.repository.publish("box-1", {WATCHLIST: b"sealed", "models/net.onnx": b"net"}, now=now)
    centre.push("box-1")
    centre.turn(box, steps=2)
    held = centre.repository.published("box-1", now=now)
    assert set(held) == {CONFIG, WATCHLIST, "models/net.onnx"}
    assert held[WATCHLIST].read_bytes() == b"sealed"


# ------------------------------------------------------------------ watchlists and models


@pytest.fixture
def sealing_centre(centre: Centre) -> Centre:
    """Return a centre whose watchlists tell for which model they were sealed: no real model is run."""
    key = sealing.make_or_load(centre.state.seal_key)
    centre.workshop = Workshop(
        Own(key.public, "c" * 40, "tcp://192.0.2.1:5810"),
        lambda device, embedder, paper: _sealed(centre, key, device, embedder, paper),
        lambda card, _: PatchEmbedder(card.template_identity),
        lambda paper: msgspec.json.decode(paper, type=Deployment).until_ms <= centre.clock(),
        SHIPPED,
    )
    enrol(centre.store, "Ada", 1)
    return centre


def _sealed(centre: Centre, key: sealing.SealingKey, device: str, embedder: Embedder, paper: str) -> bytes:
    window = msgspec.json.decode(paper, type=Deployment)
    return seal_for(
        centre.store, device, key, embedder, deployment=window, now_ms=centre.clock(), valid_ms=24 * HOUR_MS
    )


def today(centre: Centre) -> Callable[[Path], None]:
    """Return what packs a deployment that ends in two hours."""
    window = deployment(centre.clock(), centre.clock() + 2 * HOUR_MS)
    return lambda folder: durable.write(folder / DEPLOYMENT, msgspec.json.encode(window))


def test_a_watchlist_is_sealed_for_each_box(sealing_centre: Centre) -> None:
    boxes = [sealing_centre.box(name) for name in ("box-1", "box-2")]
    number = sealing_centre.push("all", What.WATCHLIST, today(sealing_centre), stages="all")
    sealing_centre.turn(*boxes, steps=3)
    assert sealing_centre.rollout(number).status is Status.DONE
    lists = [sealing_centre.repository.published(box.id, now=centre_now(sealing_centre))[WATCHLIST] for box in boxes]
    assert lists[0].read_bytes() != lists[1].read_bytes()
    identity = load_registry().models[SHIPPED].template_identity
    assert sealing_centre.store.rollouts.published("box-1")["box-1"][0].embedder == identity


def test_another_model_brings_the_watchlist_that_belongs_to_it(sealing_centre: Centre, tmp_path: Path) -> None:
    box = sealing_centre.box("box-1")
    sealing_centre.push("box-1", What.WATCHLIST, today(sealing_centre))
    sealing_centre.turn(box, steps=3)
    before = sealing_centre.store.rollouts.published("box-1")["box-1"][0]
    cards = other_model(tmp_path)
    number = sealing_centre.push("box-1", What.MODEL, lambda folder: pack_models(folder, [str(cards)]))
    sealing_centre.turn(box, steps=3)
    assert sealing_centre.rollout(number).status is Status.DONE
    after = sealing_centre.store.rollouts.published("box-1")["box-1"][0]
    assert after.embedder == "ee" * 32
    assert after.watchlist != before.watchlist
    held = sealing_centre.repository.published("box-1", now=centre_now(sealing_centre))
    assert {CONFIG, WATCHLIST, MODELS, "models/other.onnx", "models/sightline-embedder.npz"} == set(held)
    # The next list is for the model that was pushed, and a configuration leaves both.
    sealing_centre.push("box-1", What.WATCHLIST, lambda _: None)
    sealing_centre.turn(box, steps=3)
    assert sealing_centre.store.rollouts.published("box-1")["box-1"][0].embedder == "ee" * 32


def test_a_model_without_a_golden_file_is_not_pushed(sealing_centre: Centre, tmp_path: Path) -> None:
    sealing_centre.box("box-1")
    cards = other_model(tmp_path)
    tree = yaml.safe_load(cards.read_text())
    tree["models"]["other"].pop("golden")
    cards.write_text(yaml.safe_dump(tree))
    with pytest.raises(OperatorError, match="has no golden file"):
        sealing_centre.push("box-1", What.MODEL, lambda folder: pack_models(folder, [str(cards)]))


def test_a_model_that_is_not_known_is_not_pushed(sealing_centre: Centre) -> None:
    sealing_centre.box("box-1")
    with pytest.raises(OperatorError, match="no model 'nosuch'"):
        sealing_centre.push("box-1", What.MODEL, lambda folder: pack_models(folder, ["nosuch"]))


def test_a_watchlist_of_nobody_is_not_pushed(centre: Centre) -> None:
    centre.box("box-1")
    with pytest.raises(OperatorError, match="nobody is enrolled"):
        centre.push("box-1", What.WATCHLIST, today(centre), model=SHIPPED)


def test_a_box_without_a_configuration_is_pushed_nothing_else(sealing_centre: Centre) -> None:
    sealing_centre.box("box-1")
    with pytest.raises(OperatorError, match="no configuration was pushed to box-1"):
        sealing_centre.pushing.begin(
            What.WATCHLIST, "box-1", today(sealing_centre), stages="all", halts=True, patience_ms=PATIENCE_MS
        )


def test_a_watchlist_is_not_pushed_without_a_deployment(sealing_centre: Centre) -> None:
    sealing_centre.box("box-1")
    with pytest.raises(OperatorError, match="no deployment is known for box-1"):
        sealing_centre.push("box-1", What.WATCHLIST, lambda _: None)


def test_a_fresh_watchlist_keeps_to_the_deployment_of_the_one_before(sealing_centre: Centre) -> None:
    box = sealing_centre.box("box-1")
    for pack in (today(sealing_centre), lambda _: None):
        sealing_centre.push("box-1", What.WATCHLIST, pack)
        sealing_centre.turn(box, steps=3)
    fresh, before = sealing_centre.store.rollouts.published("box-1")["box-1"]
    assert fresh.watchlist != before.watchlist
    assert fresh.deployment == before.deployment


def test_a_watchlist_whose_deployment_is_over_is_published_no_longer(sealing_centre: Centre) -> None:
    box = sealing_centre.box("box-1")
    sealing_centre.push("box-1", What.WATCHLIST, today(sealing_centre))
    sealing_centre.turn(box, steps=3)
    sealing_centre.clock.pass_(timedelta(hours=3))
    with pytest.raises(OperatorError, match="is over"):
        sealing_centre.push("box-1", What.WATCHLIST, lambda _: None)
    box.beat(sealing_centre)
    sealing_centre.push("box-1")
    sealing_centre.turn(box, steps=3)
    assert set(sealing_centre.repository.published("box-1", now=centre_now(sealing_centre))) == {CONFIG}


def other_model(folder: Path) -> Path:
    """Write a card of another embedder, whose file is the shipped one's."""
    shipped = CHECKOUT / "models" / "shipped"
    shutil.copy(shipped / "sightline-embedder.onnx", folder / "other.onnx")
    shutil.copy(shipped / "sightline-embedder.npz", folder)
    tree = yaml.safe_load((CHECKOUT / "models" / "models.yaml").read_text())["models"][SHIPPED]
    tree |= {"file": "other.onnx", "templates": "ee" * 32}
    cards = folder / "cards.yaml"
    cards.write_text(yaml.safe_dump({"models": {"other": tree}}))
    return cards


def centre_now(centre: Centre) -> datetime:
    return datetime.fromtimestamp(centre.clock() / 1000, UTC)
