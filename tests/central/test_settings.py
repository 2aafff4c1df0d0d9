from pathlib import Path

import pytest

from central.settings import CentreSettings, load_settings
from edge.errors import OperatorError


def test_without_a_file_the_defaults_hold() -> None:
    settings = load_settings(None)
    assert (settings.endpoint, settings.console.port, settings.alert_threshold) == (
        "tcp://127.0.0.1:5810",
        8810,
        None,  # the embedder's card has it
    )


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "centre.yaml"
    path.write_text("# nothing yet\n")
    assert load_settings(path) == CentreSettings()


def test_what_is_set_is_taken_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "centre.yaml"
    path.write_text("alert_threshold: 0.5\nconsole:\n  port: 0\n")
    settings = load_settings(path)
    assert (settings.alert_threshold, settings.console.port, settings.console.host) == (0.5, 0, "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alert_treshold: 0.5", "unknown key alert_treshold; did you mean alert_threshold?"),
        ("console: {prot: 1}", "unknown key console.prot; did you mean port?"),
        ("wholly_else: 1", "unknown key wholly_else; known keys: alert_threshold, console, "),
        ("alert_threshold: high", "Expected `float | null`, got `str` - at `$.alert_threshold`"),
        ("alert_threshold: 44", "at `$.alert_threshold`"),
        ("retention_h: 800", "at `$.retention_h`"),
        ("endpoint: 5810", "at `$.endpoint`"),
        ("- a list", "holds no settings"),
        ("a: b: c", "is not YAML"),
    ],
)
def test_bad_settings_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "centre.yaml"
    path.write_text(text)
    with pytest.raises(OperatorError) as caught:
        load_settings(path)
    line = str(caught.value)
    assert message in line
    assert str(path) in line
    assert "\n" not in line


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"cannot read the settings .*absent\.yaml: No such file"):
        load_settings(tmp_path / "absent.yaml")
