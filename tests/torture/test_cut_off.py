"""Hours without a centre: bounded on the disk, drained afterwards, all of it late."""

from pathlib import Path

import pytest

from tests.torture.cut_off import cut_off

pytestmark = pytest.mark.slow


def test_what_waited_for_hours_drains_and_is_late(tmp_path: Path) -> None:
    report = cut_off(tmp_path, hours=0.5, max_bytes=64 << 20, crop_bytes=8_000)
    assert (report.put, report.shed, report.delivered, report.left) == (300, 0, 300, 0)
    assert report.live <= 2, "only what was put in the last seconds may be live"
    assert (report.alerts_late, report.alerts_live) == (report.late, report.live)


def test_a_full_outbox_lets_the_oldest_go_counts_them_and_says_so(tmp_path: Path) -> None:
    bound = 8 << 20
    report = cut_off(tmp_path, hours=0.6, max_bytes=bound, crop_bytes=30_000)
    assert report.shed > 0
    assert report.kept_oldest_first
    assert report.told_shed == report.shed
    assert report.delivered == report.put - report.shed
    assert report.left == 0
    assert report.peak_weight_bytes <= bound
    assert report.peak_disk_bytes <= 1.5 * bound + (6 << 20)
