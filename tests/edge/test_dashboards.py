"""Dashboards, alert rules and the table of metrics say nothing that the programs do not tell."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from central import metrics as centre
from edge import metrics as box

DOCS = Path(__file__).resolve().parents[2] / "docs"
TOLD = {
    **box.METRICS,
    **centre.METRICS,
    **{
        f"{name}{end}": meaning
        for name, meaning in centre.HISTOGRAMS.items()
        for end in ("_bucket", "_sum", "_count")
    },
}
NAME = re.compile(r"\bsightline_[a-z_]+")
UNITS = {"short", "s", "bytes", "Bps", "percentunit", "bool_yes_no"}


def panels(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DOCS / "grafana" / f"{name}.json").read_text())["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DOCS / "grafana" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("name", ["box", "centre"])
def test_a_dashboard_shows_what_is_told_each_panel_with_its_unit_and_meaning(name: str) -> None:
    ids = [panel["id"] for panel in panels(name)]
    assert len(ids) == len(set(ids)) > 10
    for panel in panels(name):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        for target in panel["targets"]:
            names = NAME.findall(target["expr"])
            assert names
            assert set(names) <= TOLD.keys(), target["expr"]


def test_an_alert_is_about_what_is_told_and_names_its_remedy() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names)) > 15
    for rule in rules():
        found = NAME.findall(rule["expr"])
        assert found
        assert set(found) <= TOLD.keys(), rule["expr"]
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"]


def test_a_label_that_an_alert_quotes_is_one_that_its_metric_has() -> None:
    for rule in rules():
        quoted = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        for name in NAME.findall(rule["expr"]):
            common = {"device", "camera"} if name.startswith("sightline_edge_") else set()
            assert quoted <= common | set(TOLD[name].labels), rule["alert"]


def test_the_table_has_every_metric_with_its_meaning_and_no_other() -> None:
    text = (DOCS / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]+) \|", text, flags=re.MULTILINE))
    meanings = {**box.METRICS, **centre.METRICS, **centre.HISTOGRAMS}
    assert rows == {name: meaning.help for name, meaning in meanings.items()}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for name in (*box.METRICS, *centre.METRICS, *centre.HISTOGRAMS):
        assert re.fullmatch(r"sightline_(edge|centre)_[a-z_]+", name)
        assert not re.search(r"_(ms|millis|kb|mb|minutes|hours)(_|$)", name), "seconds and bytes alone"
