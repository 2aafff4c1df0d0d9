"""What starts the processes, and hears the console."""

from pathlib import Path
from typing import Any

import pytest

from central.rig import Process, ProcessEndedError, Rig, _events, free_ports, put


def test_a_setting_is_put_where_its_name_says_and_read_as_yaml() -> None:
    tree: dict[str, Any] = {"pipeline": {"search_side": 1280}}
    for override in ("pipeline.search_side=960", "models.runtime.threads=1", "camera.at_end=loop"):
        put(tree, override)
    assert tree == {
        "pipeline": {"search_side": 960},
        "models": {"runtime": {"threads": 1}},
        "camera": {"at_end": "loop"},
    }


def test_free_ports_differ() -> None:
    assert len(set(free_ports(4))) == 4


def test_events_are_read_as_the_standard_says() -> None:
    lines = [": hello", "", "event: alert", "id: 7", 'data: {"a":', "data: 1}", "", "data: x", "", "event: alert", ""]
    assert list(_events(iter(lines))) == [("alert", "7", '{"a":\n1}'), ("message", "7", "x")]


@pytest.mark.slow
def test_a_process_that_ends_badly_gives_its_own_words_and_code(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        process: Process = rig.start("watch", "edge", "watch", "--config", str(tmp_path / "none.yaml"))
        assert process.wait(60) == 2
        with pytest.raises(ProcessEndedError, match="cannot read the configuration") as caught:
            process.check()
    assert caught.value.exit_code == 2


def test_leaving_a_rig_ends_what_it_started(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        process = rig.start("server", "http.server", "--bind", "127.0.0.1", str(free_ports(1)[0]))
        assert process.running()
    assert not process.running()
