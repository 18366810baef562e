"""The examples of code that orders its accesses: right and wrong, and every mutation that leaves out a barrier is caught."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Verdict
from tests.lang.barriers import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "ordering").glob("*.py"))
CAUGHT_UNDER_SC = {"seqcount", "ticket_lock"}
"""Examples that are wrong without any store buffer."""


def judged(path: Path, scenario: str, memory: str) -> tuple[Verdict, str]:
    """By the Python engine, which is quicker here than a compiler; what it says is what the C engine does."""
    found = check(str(path), scenario, memory=memory, engine="python")
    assert not found.bound_met
    return found.verdict, found.property


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_holds_where_it_is_right(path: Path) -> None:
    for scenario in load(str(path)).scenarios:
        if scenario.name == "wrong":
            assert judged(path, "wrong", "x86-tso")[0] is Verdict.VIOLATED
            assert judged(path, "wrong", "sc")[0] is (Verdict.VIOLATED if path.stem in CAUGHT_UNDER_SC else Verdict.HOLDS)
        else:
            assert {judged(path, scenario.name, memory) for memory in ("sc", "x86-tso")} == {(Verdict.HOLDS, "")}


@pytest.mark.usefixtures("quickly_compiled")
def test_no_step_of_an_example_is_a_race() -> None:
    path = ROOT / "examples" / "ordering" / "kvm_walk.py"
    assert check(str(path), "race").holds


@pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: f"{one.file}: {one.says}")
def test_a_barrier_that_is_left_out_is_caught(one: Mutation, tmp_path: Path) -> None:
    text = (ROOT / "examples" / "ordering" / f"{one.file}.py").read_text()
    assert text.count(one.old) == 1
    mutant = tmp_path / f"{one.file}.py"
    mutant.write_text(text.replace(one.old, one.new).replace("Model,", "Model, barrier,", 1))
    scenario = load(str(mutant)).scenarios[0].name
    assert judged(mutant, scenario, "x86-tso") == (Verdict.VIOLATED, one.property)
    assert (judged(mutant, scenario, "sc")[0] is Verdict.VIOLATED) is one.sc


def test_the_page_lists_the_mutations() -> None:
    page = (ROOT / "docs" / "memory.md").read_text().partition("## What is caught")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (\w+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(one.file, one.says, one.property, "both" if one.sc else "x86-tso") for one in MUTATIONS]
