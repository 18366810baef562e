"""Files are shown from where the reader stands, and septum's own are known by that name, wherever that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.lang.paths import is_built_in, shown_path
from septum.tdx import pairs

ROOT = Path(__file__).parents[2]


def write(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x = 1\n")


@pytest.mark.parametrize("where", [".", "septum", "tests"])
def test_a_file_of_septum_is_its_own_from_any_directory_of_a_checkout(monkeypatch, where):
    monkeypatch.chdir(ROOT / where)
    assert is_built_in(shown_path(pairs.__file__))


def test_also_inside_of_another_checkout_which_has_a_file_of_that_name(tmp_path, monkeypatch):
    write(tmp_path / "septum" / "tdx" / "pairs.py")
    monkeypatch.chdir(tmp_path)
    assert is_built_in(shown_path(pairs.__file__))


@pytest.mark.parametrize("name", ["mine.py", "septum/mine.py"])
def test_a_file_of_the_user_is_not(tmp_path, monkeypatch, name):
    write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert not is_built_in(shown_path(str(tmp_path / name)))
