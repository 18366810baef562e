"""A slice as it is drawn, and how a drawing fits its terminal."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest

from septum.check.result import Access, Counterexample, Race, Step, Touch
from septum.cli import main
from septum.report.calltrace import ending
from septum.report.diagram import diagram
from septum.report.slice import has_slice, left_out, slice_of
from septum.report.terminal import Drawing, readable
from tests.report.samples import FOUND, LINK, STEPS, THREADS, TOKEN, VIOLATED

WROTE = Touch("page[4].spt[1]", "pfn 9, nonleaf", True, "tdp_mmu_link_sp", LINK, 118, "m.page[parent].spt[i] = child")
READ = Touch("vm[0].zapped", "1", False, "zap", "septum/kvm/zap.py", 60, "if m.vm[vm].zapped:")


def needed(number: int, *touches: Touch) -> Step:
    return replace(STEPS[number], needed=True, touches=touches)


CUT = replace(FOUND, steps=(*STEPS[:3], needed(3, READ), *STEPS[4:7], needed(7, WROTE)))
SLICED = replace(VIOLATED, counterexample=CUT)

WRITES = Access("page[4].spt[1]", True, "tdp_mmu_link_sp", LINK, 118, "m.page[parent].spt[i]")
RACE = Race(THREADS[0], THREADS[2], (replace(WRITES, written=False), WRITES), (WRITES, WRITES))

DRAWN = """\
    CPU 1                               CPU 0
    ----------------------------------  ----------------------------------
 4  zap()
      zap.py:60 if m.vm[vm].zapped:
        reads vm[0].zapped: 1
 8                                      tdp_mmu_link_sp()
                                          tdp_mmu.py:118 m.page[parent]...
                                            page[4].spt[1]:
                                              FROZEN_SPTE -> pfn 9,
                                                nonleaf

6 steps are left out (4 of CPU 0, 2 of CPU 1): the failed clause does not
  depend on them.
"""


def test_a_slice_has_the_needed_steps_with_their_numbers_and_counts_the_others() -> None:
    assert slice_of(SLICED).startswith(DRAWN)
    assert slice_of(SLICED).endswith(diagram(SLICED).partition("At the end")[2])


def test_one_step_that_is_left_out_is_counted_as_one() -> None:
    steps = [replace(step, needed=True) for step in STEPS[:-1]]
    assert left_out(replace(FOUND, steps=(*steps, STEPS[-1]))) == [
        "1 step is left out (1 of CPU 0): the failed clause does not depend on it.",
    ]


def test_where_no_step_can_be_left_out_all_are_drawn_and_that_is_said() -> None:
    every = replace(VIOLATED, counterexample=replace(FOUND, steps=tuple(replace(step, needed=True) for step in STEPS)))
    assert "No step is left out: the failed clause depends on each." in slice_of(every).splitlines()
    assert slice_of(every).startswith(diagram(every).partition("At the end")[0])
    assert slice_of(replace(VIOLATED, counterexample=FOUND)) == diagram(replace(VIOLATED, counterexample=FOUND))


def test_a_race_is_drawn_below_the_steps_on_which_it_depends() -> None:
    lines = slice_of(replace(VIOLATED, counterexample=replace(CUT, race=RACE))).splitlines()
    below = lines[lines.index("    CPU 0 | tdp_mmu_link_sp()") :]
    assert below[:6] == [
        "    CPU 0 | tdp_mmu_link_sp()",
        "    CPU 0 |   tdp_mmu.py:118 reads page[4].spt[1]",
        "    CPU 2 | tdp_mmu_link_sp()",
        "    CPU 2 |   118 writes page[4].spt[1]",
        "    CPU 0 | tdp_mmu_link_sp()",
        "    CPU 0 |   118 writes page[4].spt[1]",
    ]
    assert "the race does not depend" in " ".join(below[7:9])


def test_of_a_loop_the_steps_before_it_are_cut_and_rules_stand_around_it() -> None:
    looping = replace(CUT, steps=(*CUT.steps[:5], *(replace(step, needed=True) for step in CUT.steps[5:])), loop=5)
    lines = slice_of(replace(VIOLATED, counterexample=looping)).splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("--- ")]
    assert [lines[number].strip("- ") for number in rules] == ["from here on, for ever", "again from step 6"]
    numbered = {line.split()[0]: number for number, line in enumerate(lines[: rules[1]]) if line[:3].strip().isdigit()}
    assert numbered["4"] < rules[0] < numbered["6"] < numbered["7"] < numbered["8"]
    assert "4 steps are left out (3 of CPU 0, 1 of CPU 1): the loop does not depend on" in lines


@pytest.mark.parametrize(
    ("found", "sliced"),
    [
        (CUT, True),
        (FOUND, False),
        (replace(CUT, loop=2), True),
        (replace(FOUND, race=RACE), True),
        (replace(CUT, steps=tuple(replace(step, needed=True) for step in STEPS)), False),
        (None, False),
    ],
    ids=["some steps", "nothing is known", "a loop", "only the race", "every step", "no schedule"],
)
def test_what_has_a_slice(found: Counterexample | None, sliced: bool) -> None:
    assert has_slice(replace(VIOLATED, counterexample=found)) == sliced


def test_what_is_longer_than_a_screen_is_shown_as_a_slice() -> None:
    lines = diagram(SLICED).count("\n")
    assert readable(SLICED, 75, lines) is Drawing.WHOLE
    assert readable(SLICED, 75, lines - 1) is Drawing.SLICE
    assert readable(SLICED, 75, 0) is Drawing.WHOLE


@pytest.mark.parametrize("width", [40, 60, 71, 72, 75, 80, 120, 160])
@pytest.mark.parametrize("drawn", [diagram, slice_of])
def test_a_drawing_fits_its_width(drawn: Any, width: int) -> None:
    lines = drawn(SLICED, width).splitlines()
    assert max(len(line) for line in lines if TOKEN not in line) <= width
    side_by_side = any("CPU 0" in line and "CPU 1" in line and "|" not in line for line in lines[:2])
    assert side_by_side == (width >= 72)
    assert ("(side by side from 80 columns on)" in lines) == (width < 72)


def test_a_wider_drawing_cuts_less() -> None:
    assert diagram(SLICED, 160).count("...") < diagram(SLICED, 75).count("...")


def test_the_calls_of_every_thread_are_told_the_failed_one_first_the_innermost_first() -> None:
    failed = replace(THREADS[1], state="failed", waits_for="")
    lines = ending([THREADS[0], failed])
    names = [line.split()[0].rstrip(":") for line in lines if line.startswith("  CPU")]
    assert names == ["CPU", "CPU"]
    assert next(line for line in lines if line.startswith("  CPU")).startswith("  CPU 1: failed")
    calls = [line.split()[0] for line in lines if line.endswith((":37", ":60"))]
    assert calls == ["write_lock()", "zap()"]


def test_lines_of_the_readers_own_files_are_marked() -> None:
    mine = replace(THREADS[0].stack[0], file="mine.py")
    lines = ending([replace(THREADS[0], stack=(mine, *THREADS[0].stack[1:]))])
    assert lines[0] == "At the end (innermost call first; > marks your own lines)"
    assert "    > fault() mine.py:44" in lines
    assert "      tdp_mmu_link_sp() septum/kvm/tdp/tdp_mmu.py:118" in lines
    design = replace(mine, file="septum/designs/dpamt_v4.py")
    assert ending([replace(THREADS[0], stack=(design,))])[0] == "At the end (innermost call first; > marks the design's lines)"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Any:
    def sized(columns: int, lines: int) -> None:
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(lines))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return sized


@pytest.fixture
def explained(monkeypatch: pytest.MonkeyPatch) -> None:
    import septum.check.explain as explaining

    monkeypatch.setattr(explaining, "explain", lambda token, design="": SLICED)


@pytest.mark.parametrize(
    ("options", "columns", "lines", "cut"),
    [
        ([], 80, 24, True),
        ([], 80, 200, False),
        (["--whole"], 80, 24, False),
        (["--slice"], 80, 200, True),
        (["--slice"], 0, 0, True),
        ([], 0, 0, False),
    ],
)
def test_a_terminal_gets_a_slice_of_what_is_longer_than_it(
    terminal: Any, explained: None, capsys: pytest.CaptureFixture[str], options: list[str], columns: int, lines: int, cut: bool
) -> None:
    if columns:
        terminal(columns, lines)
    assert main(["explain", "s1-x", *options]) == 1
    assert ("6 steps are left out" in capsys.readouterr().out) == cut


@pytest.mark.parametrize("columns", [50, 80, 160, 200])
def test_a_drawing_is_as_wide_as_the_terminal_up_to_160_columns(
    terminal: Any, explained: None, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    terminal(columns, 24)
    main(["explain", "s1-x", "--whole"])
    rules = [line for line in capsys.readouterr().out.splitlines() if line.strip(" -") == "" and "--  --" in line]
    assert [len(rule) for rule in rules] == ([min(columns, 160)] if columns >= 80 else [])


def test_two_drawings_are_refused(explained: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "s1-x", "--slice", "--race"]) == 2
    assert "three drawings: choose one" in capsys.readouterr().err
