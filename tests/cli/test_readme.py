"""What the README shows is what septum prints."""

from __future__ import annotations

import os
import re
from pathlib import Path

import mypy.api
import pytest

from septum.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(first_line: str) -> str:
    """The code block that begins so."""
    return next(text for text in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL) if text.startswith(first_line))


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "pool.py"
    file.write_text(block('"""Two CPUs each take'), encoding="utf-8")
    return file


def test_the_example_prints_what_the_readme_shows(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", pool.name]) == 1
    assert block("    CPU 0") in capsys.readouterr().out


def test_the_example_holds_with_a_lock(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = pool.read_text(encoding="utf-8")
    begin = "    yield when(lambda: not m.locked)\n    m.locked = True\n    n = m.nobjs\n"
    end = "        reached(emptied)\n    m.locked = False\n"
    pool.write_text(source.replace("    n = m.nobjs\n", begin).replace("        reached(emptied)\n", end), encoding="utf-8")
    assert main(["check", pool.name]) == 0
    assert "two_takers: emptied" in capsys.readouterr().out


def test_the_token_replays(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", pool.name])
    found = capsys.readouterr().out
    command = re.search(r"septum explain (\S+) pool.py", found)
    assert command
    assert main(["explain", command[1], pool.name]) == 1
    shown = found.replace(", the shortest schedule", "").splitlines()  # a replay does not know of shorter ones
    assert capsys.readouterr().out.splitlines()[3:] == shown[shown.index("") + 8 : -2]


def test_the_readme_is_short_and_its_links_exist() -> None:
    assert len(README.splitlines()) <= 150
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_a_type_checker_accepts_the_example(pool: Path) -> None:
    out, err, status = mypy.api.run(["--cache-dir", os.devnull, "--follow-imports", "silent", pool.name])
    assert (status, err) == (0, ""), out
