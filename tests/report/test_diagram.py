"""The two-column diagram, pinned, and its rules one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from septum.check.result import Call, Change, Counterexample, Result
from septum.report.calltrace import short
from septum.report.diagram import Holders, diagram, schedule
from septum.report.text import WIDTH, wrapped
from tests.report.golden import pinned
from tests.report.samples import FOUND, STEPS, TOKEN, VIOLATED, in_fault, link, step, three_threads


def test_two_threads() -> None:
    pinned("two_threads.txt", diagram(VIOLATED))


def test_three_threads_share_a_column() -> None:
    pinned("three_threads.txt", diagram(three_threads()))


@pytest.mark.parametrize("result", [VIOLATED, three_threads()], ids=["two", "three"])
def test_no_line_is_too_long_for_a_mail(result: Result) -> None:
    too_long = [line for line in diagram(result).splitlines() if len(line) > WIDTH and TOKEN not in line]
    assert not too_long


def test_no_line_ends_in_blanks() -> None:
    assert all(line == line.rstrip() for line in diagram(VIOLATED).splitlines())


def test_a_function_is_named_once_while_a_thread_goes_on() -> None:
    lines = schedule([step("CPU 0", in_fault, link), step("CPU 0", in_fault, link), step("CPU 0", in_fault, link)])
    assert sum("fault(" in line for line in lines) == 1
    assert sum("tdp_mmu_link_sp(" in line for line in lines) == 1


def test_a_second_call_from_another_line_is_named_again() -> None:
    later = replace(in_fault, line=50)
    lines = schedule([step("CPU 0", in_fault, link), step("CPU 0", later, link)])
    assert sum("tdp_mmu_link_sp(" in line for line in lines) == 2


def test_a_second_call_of_a_threads_program_is_named_again() -> None:
    begin = Call("fault", in_fault.file, 40, "def fault", "0, 1")
    lines = schedule([step("CPU 0", begin), step("CPU 0", in_fault), step("CPU 0", begin)])
    assert sum("fault(0, 1)" in line for line in lines) == 2


def test_locks_are_named_where_they_change() -> None:
    held = [("a (read)",), ("a (read)",), ()]
    lines = schedule([step("CPU 0", in_fault, locks=locks) for locks in held])
    assert [line.strip() for line in lines if "holds" in line] == ["holds a (read)", "holds no lock"]


def test_a_choice_of_zero_is_shown() -> None:
    assert any("choice 0" in line for line in schedule([step("CPU 0", in_fault, choice=0)]))
    assert not any("choice" in line for line in schedule([step("CPU 0", in_fault)]))


def test_every_step_of_a_long_schedule_is_printed() -> None:
    changes = [(Change("counter", str(n), str(n + 1)),) for n in range(300)]
    lines = schedule([step(f"CPU {n % 2}", in_fault, changes=change) for n, change in enumerate(changes)])
    text = "\n".join(lines)
    assert all(f"counter: {n} -> {n + 1}" in text for n in range(300))
    assert all(len(line) <= WIDTH for line in lines)


def test_deep_nesting_leaves_room_for_text() -> None:
    stack = [replace(in_fault, function=f"function_number_{n}", line=n) for n in range(30)]
    lines = schedule([step("CPU 0", *stack), step("CPU 1", *stack)])
    assert all(len(line) <= WIDTH for line in lines)
    assert any("function_number_29" in line for line in lines)


def test_a_long_place_breaks_at_a_dot_and_a_number_stays_with_its_word() -> None:
    assert wrapped("vcpu[1].mmu_shadow_page_cache.nobjs:", 28) == ["vcpu[1]", "  .mmu_shadow_page_cache", "  .nobjs:"]
    assert wrapped("vcpu[1].mmu_shadow_page_cache.nobjs:", 31) == ["vcpu[1].mmu_shadow_page_cache", "  .nobjs:"]
    assert wrapped("none -> pfn 11, pfn 12", 12) == ["none ->", "  pfn 11,", "  pfn 12"]
    assert wrapped("tdp_mmu_set_spte_atomic(vcpu=1, spt=3)", 26) == ["tdp_mmu_set_spte_atomic(", "  vcpu=1, spt=3)"]
    assert wrapped("x" * 30, 12) == ["x" * 12, "  " + "x" * 10, "  " + "x" * 8]


def test_a_thread_that_took_no_step_has_no_column() -> None:
    assert "CPU 2" not in schedule(STEPS)[0]
    assert "  CPU 2: ended" in diagram(VIOLATED).splitlines()


def test_a_violation_in_the_initial_state_has_no_steps() -> None:
    text = diagram(replace(VIOLATED, counterexample=Counterexample((), (), "s1-x")))
    assert text.startswith("What broke\n  custody: page 9 is in use twice\n  after 0 steps, the shortest schedule\n")


def test_a_violation_without_a_schedule_still_says_what_broke() -> None:
    assert diagram(replace(VIOLATED, counterexample=None)) == "What broke\n  custody: page 9 is in use twice\n"


def test_the_clause_names_its_property_once() -> None:
    assert diagram(replace(VIOLATED, clause="page 9 is in use twice")) == diagram(VIOLATED)


def test_not_proved_shortest_is_said() -> None:
    assert "after 8 steps, not proved shortest" in diagram(replace(VIOLATED, counterexample=replace(FOUND, shortest=False)))


def test_the_replay_command_quotes_the_file() -> None:
    assert "  septum explain s1-3qAB0cWq9fYAgICRkoGCgYKBgg 'my design.py'\n" in diagram(replace(VIOLATED, design="my design.py"))


def test_files_are_shown_from_here() -> None:
    assert short(__file__) == "tests/report/test_diagram.py"
    assert short("/usr/include/stdio.h") == "/usr/include/stdio.h"


@pytest.mark.parametrize(
    ("place", "old", "new", "shown"),
    [
        ("vm[1].mmu_lock.readers", "{}", "{threadid 1}", "vm[1].mmu_lock readers: none -> vCPU 1"),
        (
            "vm[1].mmu_lock.readers",
            "{threadid 1}",
            "{threadid 1, threadid 2}",
            "vm[1].mmu_lock readers: vCPU 1 -> vCPU 1 and convert",
        ),
        ("vm[1].mmu_lock.writer", "{threadid 2}", "{}", "vm[1].mmu_lock writer: convert -> none"),
        ("vm[1].mmu_lock.writer", "{}", "{threadid 3}", "vm[1].mmu_lock.writer: {} -> {threadid 3}"),
        ("pamt[3].lock.readers", "0", "1", "pamt[3].lock.readers: 0 -> 1"),
        ("vm[1].mmu_lock.waiters", "0", "1", "vm[1].mmu_lock.waiters: 0 -> 1"),
    ],
    ids=["reader", "two readers", "writer", "no such thread", "a count of the module", "another field"],
)
def test_holders_of_a_lock_are_named(place: str, old: str, new: str, shown: str) -> None:
    holders = Holders(("vCPU 0", "vCPU 1", "convert"), frozenset({"vm[1].mmu_lock"}))
    found = holders.named(Change(place, old, new))
    assert f"{found.place}: {found.old} -> {found.new}" == shown


def test_the_locks_are_those_that_some_thread_holds() -> None:
    assert Holders.of(FOUND) == Holders(("CPU 0", "CPU 1", "CPU 2"), frozenset({"vm[0].mmu_lock"}))
