from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.faces.registry import LOCAL, ModelCard, ModelStore, Registry, Task, load_registry, register_local
from tests.edge.faces.making import card_for, names_in, stored

MODEL = b"the bytes of a model"
CARD = card_for(MODEL)


def test_every_registered_model_ships_or_has_an_address_pinned_to_a_commit(tmp_path: Path) -> None:
    for card in load_registry(store=ModelStore(tmp_path)).models.values():
        parts = card.url.split("/")
        assert card.shipped or any(len(part) == 40 and set(part) <= set("0123456789abcdef") for part in parts)
        assert card.licence, card.name
        assert card.training_data, card.name


def test_every_shipped_model_is_whole_and_has_a_golden_file(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for card in (card for card in load_registry(store=store).models.values() if card.shipped):
        assert store.holds(card), card.name
        assert (store.shipped / card.golden).is_file(), card.name


def registry_with(*cards: ModelCard, **defaults: tuple[str, ...]) -> Registry:
    return Registry(
        models={card.name: card for card in cards}, defaults={Task(task): names for task, names in defaults.items()}
    )


def test_the_default_is_the_first_of_its_list_that_can_be_had_without_a_download(tmp_path: Path) -> None:
    first = card_for(b"first", name="first", file="first.onnx", url="http://127.0.0.1:9/first.onnx")
    registry = registry_with(CARD, first, embed=("first", "tiny"))
    store = ModelStore(tmp_path / "store", (tmp_path / "mirror",), tmp_path / "shipped")
    assert registry.wanted("", Task.EMBED, store).name == "first"  # neither is here: the error is about this one
    store.put(CARD, iter([MODEL]), "the test")
    assert registry.wanted("", Task.EMBED, store).name == "tiny"
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "first.onnx").write_bytes(b"first")
    assert registry.wanted("", Task.EMBED, store).name == "first"
    assert registry.wanted("tiny", Task.EMBED, store).name == "tiny"


def test_a_default_that_is_not_registered_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("defaults: {embed: [nobody]}\nmodels: {}")
    with pytest.raises(OperatorError, match="no model 'nobody' to embed"):
        load_registry(path)


def test_a_shipped_model_is_found_beside_the_registry_and_verified(tmp_path: Path) -> None:
    card = card_for(MODEL, shipped=True)
    store = ModelStore(tmp_path / "store", (tmp_path,), tmp_path / "shipped")
    assert not store.has(card)
    with pytest.raises(OperatorError, match="install Sightline again"):
        store.path(card)
    store.shipped.mkdir()
    (store.shipped / card.file).write_bytes(MODEL)
    assert store.path(card).read_bytes() == MODEL
    assert not store.folder.exists()
    (store.shipped / card.file).write_bytes(MODEL[:-1])
    with pytest.raises(IntegrityError, match="not the registered file"):
        store.path(card)


def test_a_misspelt_key_in_the_registry_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models: {tiny: {task: embed, colour: BGR}}")
    with pytest.raises(OperatorError, match="unknown field `colour`"):
        load_registry(path)


def test_a_registry_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models: {")
    with pytest.raises(OperatorError, match=r"models\.yaml is not YAML"):
        load_registry(path)


def test_a_missing_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot read the model registry"):
        load_registry(tmp_path / "none.yaml")


def test_a_model_file_cannot_be_named_outside_the_store(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models: {tiny: {task: embed, file: ../../etc/passwd}}")
    with pytest.raises(OperatorError, match="file"):
        load_registry(path)


def test_an_unknown_model_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    registry = load_registry(store=ModelStore(tmp_path))
    with pytest.raises(OperatorError) as refused:
        registry.model("nobody", Task.EMBED)
    assert any(name in refused.value.hint for name in registry.models)


def test_a_detector_is_no_embedder(tmp_path: Path) -> None:
    registry = load_registry(store=ModelStore(tmp_path))
    detector = next(name for name, card in registry.models.items() if card.task is Task.DETECT)
    with pytest.raises(OperatorError):
        registry.model(detector, Task.EMBED)


def test_a_whole_file_enters_the_store(tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path / "store")
    assert store.path(CARD).read_bytes() == MODEL
    assert names_in(tmp_path / "store") == [CARD.file]


def test_a_truncated_file_never_enters_the_store(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises(IntegrityError, match="somewhere is not the registered file"):
        store.put(CARD, iter([MODEL[:-1]]), "somewhere")
    assert not names_in(tmp_path)


def test_a_wrong_file_does_not_take_the_place_of_the_right_one(tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path)
    with pytest.raises(IntegrityError):
        store.put(CARD, iter([b"something else"]), "somewhere")
    assert store.path(CARD).read_bytes() == MODEL


def test_half_a_download_never_shows(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield MODEL[:5]
        assert not (tmp_path / CARD.file).exists()
        raise ConnectionResetError(104, "reset")

    with pytest.raises(WorldError, match="cannot store model tiny"):
        ModelStore(tmp_path).put(CARD, breaking(), "somewhere")
    assert not names_in(tmp_path)


def test_a_file_changed_in_the_store_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    store = stored(MODEL, CARD, tmp_path)
    (tmp_path / CARD.file).write_bytes(MODEL[:-3])
    with pytest.raises(IntegrityError, match="sightline models pull"):
        store.path(CARD)
    assert not store.holds(CARD)


def test_a_model_that_is_nowhere_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"model tiny .* is not here; run: sightline models pull"):
        ModelStore(tmp_path, (tmp_path / "no-mirror",)).path(CARD)


def test_a_mirror_fills_the_store(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / CARD.file).write_bytes(MODEL)
    store = ModelStore(tmp_path / "store", (mirror,))
    assert store.path(CARD) == tmp_path / "store" / CARD.file
    assert store.holds(CARD)


def test_a_wrong_file_in_a_mirror_is_named_and_not_taken(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / CARD.file).write_bytes(MODEL[:-1])
    store = ModelStore(tmp_path / "store", (mirror,))
    with pytest.raises(IntegrityError, match=r"mirror/tiny\.onnx"):
        store.path(CARD)
    assert not store.holds(CARD)
    assert not names_in(tmp_path / "store")


def test_the_environment_names_the_cache_and_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SIGHTLINE_MIRROR", str(tmp_path / "mirror"))
    store = ModelStore.default()
    assert store.folder == tmp_path / "cache" / "sightline" / "models"
    assert store.mirrors == (tmp_path / "mirror",)


def test_a_store_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorldError, match="cannot store model tiny"):
        ModelStore(tmp_path / "file" / "store").put(CARD, iter([MODEL]), "somewhere")


def parent_in(store: ModelStore) -> str:
    return next(card.sha256 for card in load_registry(store=store).models.values() if card.task is Task.EMBED)


def test_a_model_made_here_is_found_by_its_name_with_its_card_unchanged(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    card = card_for(MODEL, made_from=parent_in(store), calibrated_on="c" * 64, prepare="")
    register_local(card, store)
    assert load_registry(store=store).model("tiny", Task.EMBED) == card


def test_models_made_here_stand_beside_each_other_and_a_new_one_replaces_its_name(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    parent = parent_in(store)
    for name, dimension in (("one", 1), ("two", 2), ("one", 3)):
        register_local(card_for(MODEL, name=name, dimension=dimension, made_from=parent), store)
    models = load_registry(store=store).models
    assert (models["one"].dimension, models["two"].dimension) == (3, 2)


def test_a_model_made_from_one_that_is_no_longer_registered_is_left_out(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    register_local(card_for(MODEL, made_from="d" * 64), store)
    assert "tiny" not in load_registry(store=store).models


def test_a_model_made_here_cannot_take_the_name_of_a_registered_one(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    shipped = next(iter(load_registry(store=store).models))
    register_local(card_for(MODEL, name=shipped, made_from=parent_in(store)), store)
    with pytest.raises(OperatorError, match=LOCAL):
        load_registry(store=store)
