"""`septum lint`: what is wrong with a file is said without a compiler, and without exploring."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from septum.cli import main

MODEL = """
from septum.lang import Model, Scenario, Size, Struct, call, process, u8

WIDE = Size("WIDE", 0)

class World(Struct):
    n: u8

@process
def count(m):
    yield
    if WIDE:
        m.n = {wide}
    else:
        m.n = {narrow}

def start(setup):
    setup.thread("T", call(count))

model = Model("counts", World, (
    Scenario("one", "One", start), Scenario("two", "Two", start), Scenario("wide", "Wide", start, bindings={{WIDE: 1}}),
    Scenario("split", "Not here", start, needs=frozenset({{"split"}})),
))
"""


@pytest.fixture
def linted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Lints the model with these two values; the exit status, and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CC", "false")

    def run(*options: str, wide: str = "1", narrow: str = "1") -> tuple[int, str]:
        Path("counts.py").write_text(MODEL.format(wide=wide, narrow=narrow))
        status = main(["lint", "counts.py", *options])
        return status, capsys.readouterr().out

    return run


def test_what_is_in_the_language_is_translated(linted):
    assert linted() == (0, "counts.py: 3 scenarios translated; 1 do not apply\n")


def test_what_is_not_is_said_with_its_line_and_its_scenarios(linted):
    status, said = linted(narrow="[1]")
    assert status == 2
    assert "counts.py:15: List is not in the language" in said
    assert said.rstrip().endswith("in one, two")


def test_sizes_that_meet_another_line_are_translated_too(linted):
    status, said = linted(wide="[1]")
    assert status == 2
    assert said.rstrip().endswith("in wide")


def test_files_behind_one_that_is_wrong_are_read(linted):
    status, said = linted("nothing.py")
    assert (status, "counts.py: 3 scenarios" in said, "nothing.py: no such file" in said) == (2, True, True)


def test_one_document_has_all(linted):
    status, said = linted("--json", wide="[1]")
    [found] = json.loads(said)["designs"].values()
    assert (status, found["translated"], found["not_applicable"], len(found["wrong"])) == (2, ["one", "two"], ["split"], 1)
