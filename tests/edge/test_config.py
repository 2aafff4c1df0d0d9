"""One typed tree from one file."""

from pathlib import Path

import pytest
import yaml

from edge.config import Base, Config, load, load_base, load_config
from edge.errors import OperatorError

GOOD = {
    "device": {"id": "box-1", "state": "/var/lib/sightline"},
    "centre": {"sealing_key": "a" * 64},
    "camera": {"id": "gate", "source": "rtsp://127.0.0.1/axis-media/media.amp"},
    "watchlist": {"file": "/var/lib/sightline/watchlist.sealed"},
    "link": {"endpoints": ["tcp://127.0.0.1:5810"], "centre_key": "k" * 40},
}


def written(folder: Path, tree: object) -> Path:
    path = folder / "edge.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def test_a_short_configuration_is_enough(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.camera.id == "gate"
    assert config.pipeline.policy.candidate_threshold is None  # the embedder's card has it


def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    tree = {**GOOD, "pipeline": {"policy": {"candidate_treshold": 0.4}}}
    with pytest.raises(
        OperatorError, match=r"unknown key pipeline\.policy\.candidate_treshold; did you mean candidate_threshold\?"
    ):
        load_config(written(tmp_path, tree))


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({**GOOD, "device": {"id": "box 1", "state": "x"}}, r"device\.id"),
        ({key: value for key, value in GOOD.items() if key != "link"}, "link"),
        ({**GOOD, "models": {"runtime": {"threads": "many"}}}, r"models\.runtime\.threads"),
        ([], "holds no settings"),
        (None, "device"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, tree: object, says: str) -> None:
    with pytest.raises(OperatorError, match=says):
        load_config(written(tmp_path, tree))


def test_a_file_that_is_missing_or_not_yaml_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot read the configuration"):
        load_config(tmp_path / "missing.yaml")
    path = tmp_path / "bad.yaml"
    path.write_text("device: {id: [")
    with pytest.raises(OperatorError, match="not YAML") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_the_example_in_the_documentation_is_a_good_configuration() -> None:
    config = load_config(Path(__file__).resolve().parents[2] / "docs" / "edge.yaml")
    assert config.device.id == "gate-1"


BASE = {key: GOOD[key] for key in ("device", "centre", "link")}


def test_who_a_box_is_and_where_its_centre_is_are_enough_for_link(tmp_path: Path) -> None:
    base = load(written(tmp_path, BASE))
    assert type(base) is Base
    assert (base.device.id, base.link.endpoints) == ("box-1", ("tcp://127.0.0.1:5810",))
    assert isinstance(load(written(tmp_path, GOOD)), Config)


def test_link_reads_its_part_of_a_whole_configuration(tmp_path: Path) -> None:
    base = load_base(written(tmp_path, {**GOOD, "camera": {"id": "gate"}}))  # no source: watch's trouble
    assert type(base) is Base
    with pytest.raises(OperatorError, match=r"unknown key linc; did you mean link\?"):
        load_base(written(tmp_path, {**GOOD, "linc": {}}))


@pytest.mark.parametrize("missing", list(BASE))
def test_a_base_that_lacks_a_part_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(OperatorError, match=f"missing required field `{missing}`"):
        load(written(tmp_path, {key: value for key, value in BASE.items() if key != missing}))


def test_half_of_what_watch_needs_is_not_taken_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="missing required field `camera`"):
        load(written(tmp_path, {**BASE, "watchlist": GOOD["watchlist"]}))
