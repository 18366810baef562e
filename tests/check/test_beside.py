"""Which files a file of a user is made from."""

from __future__ import annotations

from pathlib import Path

from septum.check import beside
from septum.check.beside import modules_beside


def beside_of(directory: Path, **texts: str) -> set[str]:
    """What mine.py is made from, among these files: names with `__` for a directory."""
    for name, text in texts.items():
        path = directory / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    files = modules_beside(directory / "mine.py")
    return {str(path.relative_to(directory)) for path in files if path.is_file()}


def test_a_file_is_made_from_itself_and_the_modules_beside_it_that_it_imports(tmp_path: Path) -> None:
    found = beside_of(tmp_path, mine="import parts\nfrom septum.lang import *\nimport json", parts="", other="")
    assert found == {"mine.py", "parts.py"}


def test_and_what_these_import(tmp_path: Path) -> None:
    found = beside_of(
        tmp_path, mine="from parts import take", parts="def take():\n    from locks import hold", locks="import mine"
    )
    assert found == {"mine.py", "parts.py", "locks.py"}


def test_packages_are_looked_into(tmp_path: Path) -> None:
    found = beside_of(tmp_path, mine="from pools.cache import pop\nfrom pools import top", pools__cache="from . import size",
                      pools__size="from .. import parts", pools__top="", parts="", pools__other="")  # fmt: skip
    assert found == {"mine.py", "parts.py", "pools/cache.py", "pools/size.py", "pools/top.py"}


def test_a_file_with_a_mistake_is_one_of_them(tmp_path: Path) -> None:
    assert beside_of(tmp_path, mine="import parts", parts="x = (") == {"mine.py", "parts.py"}


def test_a_module_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import parts")
    assert tmp_path / "parts.py" in modules_beside(tmp_path / "mine.py")


def test_septum_itself_is_no_part_of_a_file_that_lies_beside_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(beside, "PACKAGE", tmp_path / "septum")
    assert beside_of(tmp_path, mine="from septum.lang import u8", septum__lang="") == {"mine.py"}
