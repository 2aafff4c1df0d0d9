"""The page's own judges, run by Node where it is installed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import central.console

STATIC = Path(central.console.__file__).parent / "static"


def node(script: str) -> Any:
    """Run an ES module against the page's modules and return what it prints, as data."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node.js is not installed")
    imports = (
        f'import {{ Book }} from "file://{STATIC}/book.js";'
        f'import {{ age, clock, score, timeOf }} from "file://{STATIC}/words.js";'
        "const alert = (id, change, more = {}) => ({ alert_id: id, change, sighting_id: 's-' + id, camera: 'gate',"
        " captured_at_ms: change, alerted_at_ms: change, revised_at_ms: change, ...more });"
    )
    done = subprocess.run(
        [program, "--input-type=module", "--eval", imports + script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=STATIC,
    )
    return json.loads(done.stdout)


def test_alerts_of_one_sighting_are_one_row_with_the_newest_pass_first() -> None:
    assert node(
        """
        const book = new Book({ retentionMs: 1000, most: 10 });
        book.put(alert("a", 1, { sighting_id: "s" }));
        book.put(alert("b", 2, { sighting_id: "s", camera: "hall" }));
        book.put(alert("c", 3));
        console.log(JSON.stringify(book.sightings().map((s) => [s.id, s.alerts.map((a) => a.alert_id), s.cameras])));
        """
    ) == [["s-c", ["c"], ["gate"]], ["s", ["b", "a"], ["hall", "gate"]]]


def test_a_revision_replaces_its_alert_and_an_older_form_changes_nothing() -> None:
    assert node(
        """
        const book = new Book({ retentionMs: 1000, most: 10 });
        const news = [book.put(alert("a", 5, { score: 0.6 })), book.put(alert("a", 9, { score: 0.7 }))];
        news.push(book.put(alert("a", 7, { score: 0.1 })));
        console.log(JSON.stringify([news, book.sightings()[0].newest.score]));
        """
    ) == [[True, False, False], 0.7]


def test_the_page_forgets_what_the_centre_has_deleted_and_holds_no_more_than_it_may() -> None:
    assert node(
        """
        const book = new Book({ retentionMs: 100, most: 3 });
        for (let n = 1; n <= 5; n += 1) book.put(alert("a" + n, n * 10));
        const held = book.sightings().map((s) => s.newest.alert_id);
        const gone = [book.forget(130), book.forget(131), book.forget(131)];
        console.log(JSON.stringify([held, gone, book.sightings().map((s) => s.newest.alert_id)]));
        """
    ) == [["a5", "a4", "a3"], [False, True, False], ["a5", "a4"]]


def test_a_score_is_cut_and_never_reads_as_if_it_had_reached_the_threshold() -> None:
    assert node("console.log(JSON.stringify([score(0.4399), score(0.44), score(0.4396, 3), score(1)]))") == [
        "0.43",
        "0.44",
        "0.439",
        "1.00",
    ]


def test_ages_are_told_in_the_unit_that_fits() -> None:
    ages = "[0, 59e3, 60e3, 3599e3, 3600e3, 7200e3, 86400e3, 3 * 86400e3, -5e3].map(age)"
    assert node(f"console.log(JSON.stringify({ages}))") == [
        *("0 s", "59 s", "1 min", "59 min", "1 hour", "2 hours", "1 day", "3 days", "0 s"),
    ]
