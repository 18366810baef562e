"""A test that fails because a check does not hold shows the counterexample."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
TESTS = """
import septum

def test_mine():
    assert septum.check("pool.py", "two_takers", engine="python").holds

def test_another_that_fails():
    assert 1 == 2

def test_truth():
    assert septum.check("pool.py", "two_takers", engine="python")
"""


def test_the_counterexample_stands_below_the_assertion(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "pool.py").write_text(next(text for text in blocks if "def take" in text))
    (tmp_path / "test_mine.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "septum.report.failing", "-p", "no:cacheprovider", "-q", "test_mine.py"]
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False)
    sections = re.split(r"^_+ (\w+) _+$", run.stdout, flags=re.MULTILINE)
    texts = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert set(texts) == {"test_mine", "test_another_that_fails", "test_truth"}
    for name in ("test_mine", "test_truth"):
        assert "custody: page 1 is taken twice" in texts[name]
        assert "taken[1]: 0 -> 1" in texts[name]
        assert "> take() pool.py:17" in texts[name]
        assert re.search(r"septum explain \S+ pool\.py$", texts[name], re.MULTILINE)
    assert "custody" not in texts["test_another_that_fails"]
