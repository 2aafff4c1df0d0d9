"""An engine that would report home is told not to."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("module", ["edge.service", "edge.link", "central.service", "central.quantise"])
def test_no_program_leaves_or_sends_what_its_engine_noted_of_it(module: str, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment = {**kept, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    script = f"import {module}, onnxruntime"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
