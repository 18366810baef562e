"""The report of a check: pinned as a whole, then its parts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from septum.check.result import Call, Counterexample, Result, Standing, Verdict
from septum.report.terminal import render
from tests.report.golden import pinned
from tests.report.samples import (
    ALL,
    HOLDS,
    INCOMPLETE,
    NOT_APPLICABLE,
    NOT_STARTED,
    STEPS,
    TOKEN,
    VACUOUS,
    VIOLATED,
    three_threads,
)

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def test_the_whole_report() -> None:
    pinned("report.txt", render(ALL))


def test_a_pass_alone() -> None:
    pinned("pass.txt", render([HOLDS]))


def test_plain_text_is_ascii_and_fits_80_columns() -> None:
    text = render(ALL)
    assert text.isascii()
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if TOKEN not in line)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_colour_changes_nothing_but_the_colour(width: int) -> None:
    coloured = render(ALL, width=width, colour=True)
    assert "\x1b[" in coloured
    plain = [line.rstrip() for line in ESCAPE.sub("", coloured).splitlines()]
    assert plain == render(ALL, width=width).splitlines()


def test_long_names_fit_80_columns() -> None:
    long = replace(
        HOLDS, design="dpamt_merged_split", scenario="neighbouring_gfns_alloc_failures", verdict=Verdict.NOT_APPLICABLE
    )
    violated = replace(VIOLATED, property="initial value", states=123_456_789, transitions=1_234_567_890, counterexample=None)
    text = render([long, violated])
    assert text.isascii() and "seconds" in text.splitlines()[0] and "..." in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "neighbouring_gfns_alloc_failures" in render([long, violated], width=120)


def test_unexecuted_lines_are_those_that_no_scenario_executed() -> None:
    def with_lines(*lines: int) -> Result:
        return replace(HOLDS, unexecuted=lines)

    assert "  dpamt_v4: 3-4, 9\n" in render([with_lines(1, 3, 4, 9), with_lines(3, 4, 9, 12)])
    assert "no schedule executed" not in render([with_lines(1), with_lines(2)])


def test_what_did_not_run_says_nothing_about_lines() -> None:
    idle = [replace(NOT_STARTED, design="dpamt_v4"), replace(NOT_APPLICABLE, design="dpamt_v4")]
    assert "  dpamt_v4: 13-14, 20, 40\n" in render([HOLDS, *idle])


def test_a_witness_that_a_single_property_left_out_is_not_claimed() -> None:
    text = render([replace(HOLDS, witnesses={"lost_race": True, "busy": False})])
    assert "same_gfn: lost_race\n" in text
    assert "busy" not in text


def test_scenarios_that_do_not_apply_are_grouped_by_reason() -> None:
    text = render([NOT_APPLICABLE, replace(NOT_APPLICABLE, scenario="split_zap")])
    assert "upstream: split_fault, split_zap (the design has no split)\n" in text


def test_a_missed_witness_is_named() -> None:
    assert "upstream, same_gfn: busy\n" in render([VACUOUS])


def test_how_far_an_incomplete_check_came() -> None:
    text = " ".join(render([INCOMPLETE, NOT_STARTED]).split())
    assert "the time ended; 20,000,000 states, 99,000,000 transitions, depth 33 in 2 min 5 s" in text
    assert "fault_zap: not started" in text


def test_square_brackets_in_a_name_are_no_markup() -> None:
    assert "a[bold]b.py" in render([replace(HOLDS, design="a[bold]b.py")])


def failing(scenario: str, steps: int, line: int = 36, caller: int = 25, page: int = 7) -> Result:
    """A violation that a thread meets at a line, after so many steps."""
    stack = (
        Call("drop", "septum/kvm/tdx.py", caller, "free(m, page)"),
        Call("free", "septum/host/frames.py", line, "assert"),
    )
    found = Counterexample(STEPS[:steps], (Standing("CPU 0", stack, "failed", ()),), f"s1-{scenario}")
    return replace(VIOLATED, scenario=scenario, clause=f"custody: page {page} is freed twice", counterexample=found)


def test_one_mistake_has_one_diagram_the_shortest() -> None:
    text = render([failing("long", 8), failing("short", 3, page=9), failing("middle", 4, caller=31)])
    assert text.count("What broke") == 1
    assert "dpamt_v4, short: violated: custody\n===" in text
    assert (
        "It fails at the same place in\n"
        "  long, 8 steps: septum explain s1-long dpamt_v4\n"
        "  middle, 4 steps, called from septum/kvm/tdx.py:31: septum explain s1-middle dpamt_v4\n"
    ) in text


@pytest.mark.parametrize(
    "other",
    [
        failing("other", 8, line=40),
        replace(failing("other", 8), design="upstream"),
        replace(failing("other", 8), property="backing"),
        replace(failing("other", 8), clause="custody: page 7 is lost"),
        replace(failing("other", 8), counterexample=None),
    ],
    ids=["line", "design", "property", "clause", "no schedule"],
)
def test_other_mistakes_have_their_own_diagrams(other: Result) -> None:
    text = render([failing("one", 8), other])
    assert text.count("What broke") == 2
    assert "same place" not in text


def test_a_property_that_is_violated_between_steps_fails_at_the_last_step() -> None:
    found = VIOLATED.counterexample
    assert found
    earlier = replace(VIOLATED, scenario="earlier", counterexample=replace(found, steps=found.steps[:5]))
    assert render([VIOLATED, replace(VIOLATED, scenario="again")]).count("What broke") == 1
    assert render([VIOLATED, earlier]).count("What broke") == 2


def test_equal_deadlocks_have_one_diagram() -> None:
    ring = three_threads()
    assert render([ring, replace(ring, scenario="again")]).count("What broke") == 1
    assert render([ring, replace(ring, scenario="other", clause="deadlock: CPU 0 waits for lock 2")]).count("What broke") == 2


def test_the_report_ends_in_a_summary() -> None:
    assert render([HOLDS, HOLDS, VIOLATED, NOT_APPLICABLE]).endswith("\n\n4 checks: 2 hold, 1 violated, 1 not applicable\n")


def test_why_the_python_engine_explored_a_pass() -> None:
    reason = "no C compiler was found; set CC or pip install ziglang"
    text = " ".join(render([replace(HOLDS, engine="python", reason=reason), INCOMPLETE]).split())
    assert f"by the Python engine ({reason}), which is slower than the C engine, without reductions, and finds the same." in text


def test_what_was_kept_has_no_seconds_and_is_explained() -> None:
    text = render([replace(HOLDS, kept=True)])
    assert re.search(r"57 +kept$", text, re.MULTILINE)
    assert "--fresh explores it" in text
    assert "Kept" not in render([HOLDS])
