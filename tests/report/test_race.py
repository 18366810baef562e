"""A race has what a reviewer looks for, and fits a mail."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.result import Change, Result
from septum.report.race import drawn, race, state_that_matters, telling
from septum.report.terminal import Drawing, finding
from tests.report.samples import VIOLATED

INVERSION = """\
 13  RCU softirq | free_external_sp(spt=11)
     RCU softirq |   free_backed(page=12, EXTERNAL)
     RCU softirq |     pamt_put(page=12)
     RCU softirq |       reads cpu[2].softirq: 1
     RCU softirq |       range 3: refcount 1 -> 0
 20  vCPU 0      | pamt_back(page=15, page0=16, page1=17)
     vCPU 0      |   lock_pamt()
     vCPU 0      |     spin_lock(pamt_lock)
     vCPU 0      |       page 16-17: HAND -> PAIR
     vCPU 0      |       takes pamt_lock
 21  RCU softirq | pamt_put(page=12)
     RCU softirq |   lock_pamt()
     RCU softirq |     spin_lock(pamt_lock)
     RCU softirq |       not interruptible(m, lock)
"""


@pytest.fixture(scope="module")
def inversion() -> Result:
    """designs.md 5.6, found with lockdep in February 2026."""
    return check("dpamt_v5_as_posted", "rcu_callbacks")


@pytest.fixture(scope="module")
def deadlock() -> Result:
    """designs.md 4.9: AB-BA of locks for 2M ranges."""
    return check("dpamt_range_locks", "two_tds")


def test_functions_are_nested_and_the_count_of_a_range_is_told(inversion):
    assert INVERSION in race(inversion)


def test_what_broke_and_how_to_see_all_of_it_come_last(inversion):
    lines = race(inversion).splitlines()
    assert "  after 21 steps, the shortest schedule" in lines
    assert lines[-1] == f"  septum explain {inversion.counterexample.token} dpamt_v5_as_posted"


def test_of_a_deadlock_each_column_says_what_it_holds_and_the_last_what_it_waits_for(deadlock):
    text = " ".join(race(deadlock).split())
    assert "takes range[3].design.lock" in text
    assert "takes range[4].design.lock waits for range[3].design.lock, held by vCPU 0" in text


def test_two_locks_in_opposite_orders_meet_after_one_switch(deadlock):
    threads = [step.thread for step in deadlock.counterexample.steps]
    assert sum(one != other for one, other in itertools.pairwise(threads)) == 1


@pytest.mark.parametrize("explained", [False, True])
def test_no_line_is_too_long_for_a_mail(inversion, deadlock, explained):
    for result in (inversion, deadlock, VIOLATED):
        text = finding(result, Drawing.RACE, explained=explained)
        assert max(map(len, text.splitlines())) <= 75
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_the_state_that_matters_has_counts_entries_and_locks_and_no_page_that_only_waits(deadlock):
    lines = state_that_matters(deadlock.counterexample)
    assert "  table[3,8].word[0]: nonpresent -> FROZEN" in lines
    assert "  vCPU 0 holds range[3].design.lock (write), vm[1].mmu_lock (read)" in lines
    assert not any("FREE -> POOL" in line for line in lines)


def test_a_violation_without_steps_has_no_diagram():
    nothing = replace(VIOLATED, counterexample=replace(VIOLATED.counterexample, steps=()))
    assert race(nothing).startswith("What broke")


def test_the_diagram_of_the_documentation_is_what_is_drawn(inversion):
    shown = (Path(__file__).parents[2] / "docs" / "found.md").read_text().partition("```text\n")[2].partition("```")[0]
    assert shown == "\n".join(drawn(inversion.counterexample)) + "\n"


def test_what_one_thread_did_alone_at_the_start_is_a_line(inversion):
    lines = race(inversion).splitlines()
    assert lines[0] == "  1  destroy     | (10 steps alone; only what matters is shown)"
    shown = [line for line in lines[1:] if "destroy     |" in line]
    assert shown[0].startswith(" 10  destroy     | ") and "destroy     |       rcu.queued: 0 -> 2" in "\n".join(shown)
    assert all(not line[:4].strip() for line in shown[1:])


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("vm[1].design.pool.cnt", True),
        ("vcpu[1].mmu_shadow_page_cache.nobjs", True),
        ("vm[1].design.owner", True),
        ("vm[1].design.pool.pages[3]", False),
        ("pamt[1].count", False),
    ],
)
def test_pools_and_what_a_design_keeps_of_its_own_are_told(place, told):
    assert bool(telling(Change(place, "2", "1"))) == told


COUNTER = '''"""Two CPUs count without a lock."""
from septum.lang import Model, Property, Scenario, Struct, call, process, u8

class World(Struct):
    count: u8

@process
def inc(m: World):
    yield
    m.count += 1

def start(setup):
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(inc))

model = Model("counter", World, (Scenario("two", "Two CPUs count", start, ()),), (Property("custody", "c"),))
'''

MEETING = """\
    CPU 0                               CPU 1
    ----------------------------------  ----------------------------------
    inc()
      counter.py:10 reads count
                                        inc()
                                          10 writes count
                                          10 reads count
    inc()
      10 writes count
"""


def test_of_two_accesses_that_race_what_comes_between_is_drawn_between(tmp_path):
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    result = check(str(path), "two")
    assert result.property == "race"
    assert race(result).startswith(MEETING)
    assert MEETING in finding(result, Drawing.SLICE)
    assert MEETING.partition("    inc()")[2] in finding(result)


def test_of_a_model_of_ones_own_every_field_is_told(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "pool.py"
    path.write_text(next(text for text in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "def take" in text))
    text = race(check(str(path), "two_takers"))
    assert all(line in text for line in ("reads nobjs: 2", " nobjs: 2 -> 1", " taken[1]: 0 -> 1", "reads taken[1]: 1"))
