import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from edge.errors import IntegrityError, OperatorError, WorldError
from edge.faces.fetch import fetch, inventory, obtain, pull
from edge.faces.registry import ModelCard, ModelStore, Registry, Task
from tests.edge.faces.making import card_for, names_in

MODEL = bytes(range(256)) * 4000


@dataclass
class Site:
    """A web server on loopback with files by path; `cut` closes the connection in the middle of an answer."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: bool = False

    def card(self, path: str = "/tiny.onnx", **changes: object) -> ModelCard:
        return card_for(MODEL, url=f"http://127.0.0.1:{self.port}{path}", **changes)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            if self.path not in made.files:
                self.send_error(404)
                return
            body = made.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if made.cut else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_from_its_address_with_progress(site: Site, tmp_path: Path) -> None:
    site.files["/tiny.onnx"] = MODEL
    told: list[tuple[int, int]] = []
    store = ModelStore(tmp_path)
    fetch(site.card(), store, progress=lambda done, total: told.append((done, total)))
    assert store.path(site.card()).read_bytes() == MODEL
    assert told[-1] == (len(MODEL), len(MODEL))


def test_something_else_at_the_address_is_refused_and_nothing_stored(site: Site, tmp_path: Path) -> None:
    site.files["/tiny.onnx"] = b"<html>not found</html>"
    with pytest.raises(IntegrityError, match=r"/tiny\.onnx is not the registered file"):
        fetch(site.card(), ModelStore(tmp_path))
    assert not names_in(tmp_path)


def test_a_download_cut_in_the_middle_stores_nothing(site: Site, tmp_path: Path) -> None:
    site.files["/tiny.onnx"] = MODEL
    site.cut = True
    with pytest.raises(WorldError, match="cannot be fetched"):
        fetch(site.card(), ModelStore(tmp_path))
    assert not names_in(tmp_path)


def test_an_address_that_has_it_no_more_is_told_with_its_answer(site: Site, tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="answered 404; check the network, or name a folder"):
        fetch(site.card(), ModelStore(tmp_path))


def test_no_network_and_no_mirror_give_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        card = card_for(MODEL, url=f"http://127.0.0.1:{closed.getsockname()[1]}/tiny.onnx")
        with pytest.raises(WorldError, match="--mirror DIR") as refused:
            fetch(card, ModelStore(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_mirror_comes_before_the_address(site: Site, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "tiny.onnx").write_bytes(MODEL)
    assert obtain(site.card(), ModelStore(tmp_path / "store", (mirror,))) == "from mirror"
    assert not site.asked


def test_a_model_made_here_that_is_lost_has_no_address_to_come_from(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="sightline models quantise"):
        obtain(card_for(MODEL), ModelStore(tmp_path))


def registry_of(*cards: ModelCard) -> Registry:
    return Registry(models={card.name: card for card in cards})


def test_pull_says_a_line_for_each_model_how_it_came_its_size_and_licence(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = MODEL
    cards = (site.card("/a", name="first", file="first.onnx"), site.card(name="second", file="second.onnx"))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "second.onnx").write_bytes(MODEL)
    store, said = ModelStore(tmp_path / "store"), list[str]()
    pull(mirror=tmp_path / "mirror", store=store, registry=registry_of(*cards), say=said.append, everything=True)
    assert said == [
        "first: fetched, 1.02 MB, Apache-2.0, trained on none",
        "second: from mirror, 1.02 MB, Apache-2.0, trained on none",
    ]


def test_pull_leaves_alone_what_is_there_and_is_still_about_it_when_asked(site: Site, tmp_path: Path) -> None:
    site.files["/tiny.onnx"] = MODEL
    store, said = ModelStore(tmp_path), list[str]()
    for quiet in (True, True, False):
        pull(store=store, registry=registry_of(site.card()), quiet=quiet, say=said.append)
    assert [line.split(",")[0] for line in said] == ["tiny: fetched", "tiny: already there"]
    assert len(site.asked) == 1


def test_pull_mends_a_file_that_was_damaged_in_the_store(site: Site, tmp_path: Path) -> None:
    site.files["/tiny.onnx"] = MODEL
    (tmp_path / "tiny.onnx").write_bytes(MODEL[:100])
    store = ModelStore(tmp_path)
    pull(store=store, registry=registry_of(site.card()), say=lambda _: None)
    assert store.holds(site.card())


def test_an_optional_model_that_cannot_be_reached_is_said_and_passed_over(site: Site, tmp_path: Path) -> None:
    said = list[str]()
    pull(store=ModelStore(tmp_path), registry=registry_of(site.card()), optional=True, say=said.append)
    assert said[0].startswith("tiny: left out: model tiny")


def test_an_optional_model_that_is_not_the_registered_one_is_an_error_all_the_same(
    site: Site, tmp_path: Path
) -> None:
    site.files["/tiny.onnx"] = MODEL[:-1]
    with pytest.raises(IntegrityError):
        pull(store=ModelStore(tmp_path), registry=registry_of(site.card()), optional=True, say=lambda _: None)


def test_pull_refuses_a_name_nobody_knows_and_a_mirror_that_is_none(site: Site, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="known: tiny"):
        pull(["other"], store=ModelStore(tmp_path), registry=registry_of(site.card()))
    with pytest.raises(OperatorError, match="no folder"):
        pull(mirror=tmp_path / "none", store=ModelStore(tmp_path), registry=registry_of(site.card()))


def test_pull_does_not_ask_for_models_that_are_made_here(tmp_path: Path) -> None:
    said = list[str]()
    made = card_for(MODEL, sha256=hashlib.sha256(b"lost").hexdigest(), made_from="0" * 64)
    pull(store=ModelStore(tmp_path), registry=registry_of(made), say=said.append)
    assert not said


def test_pull_asks_for_nothing_where_the_default_comes_with_the_program(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store", (), tmp_path)
    (tmp_path / "ours.onnx").write_bytes(MODEL)
    ours = card_for(MODEL, name="ours", file="ours.onnx", shipped=True)
    public = card_for(b"other", name="public", url="http://127.0.0.1:9/tiny.onnx")
    registry = Registry(models={"public": public, "ours": ours}, defaults={Task.EMBED: ("ours", "public")})
    said = list[str]()
    pull(store=store, registry=registry, say=said.append)
    assert said == ["ours: comes with the program, 1.02 MB, Apache-2.0, trained on none"]


def test_pull_passes_over_a_preferred_model_that_cannot_be_reached_where_another_is_here(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store", (), tmp_path)
    (tmp_path / "ours.onnx").write_bytes(MODEL)
    ours = card_for(MODEL, name="ours", file="ours.onnx", shipped=True)
    public = card_for(b"other", name="public", url="http://127.0.0.1:9/tiny.onnx", role="teacher")
    registry = Registry(models={"public": public, "ours": ours}, defaults={Task.EMBED: ("public", "ours")})
    said = list[str]()
    pull(store=store, registry=registry, say=said.append)
    assert said[0].startswith("public: left out: ")
    with pytest.raises(WorldError):
        pull(["public"], store=store, registry=registry, say=said.append)
    told = inventory(registry, store)
    assert "missing" in told[0]
    assert "teacher" in told[0]
    assert "shipped       default" in told[1]
