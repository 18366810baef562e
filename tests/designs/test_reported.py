"""What is wrong with a design is told by its own lines and its own pools: who slept where it must not, and which pool ran dry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.evidence import evidence
from septum.check.loading import load
from septum.explore.explore import Budget
from septum.report.calltrace import ending
from septum.report.compare import FIGURES
from septum.report.race import race

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SLEEPS = '''"""What takes a guest page back may sleep: in a mutex, or for memory while it has a spinlock."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.host.frames import Content, Gfp, Role, free_page
from septum.host.locks import Mutex, SpinLock, mutex_lock, mutex_unlock, spin_lock, spin_unlock
from septum.host.pools import alloc_or_fail
from septum.kvm.design import Design
from septum.lang import Struct, process

design = Design("sleeps", base=dpamt_merged)

@design.vm
class Vm(Struct):
    mutex: Mutex
    spinlock: SpinLock

@process
def takes_the_mutex(m, vm):
    yield from mutex_lock(m, m.vm[vm].design.mutex)
    mutex_unlock(m, m.vm[vm].design.mutex)

@process
def allocates(m, vm):
    yield from spin_lock(m, m.vm[vm].design.spinlock)
    page = yield from alloc_or_fail(m, Gfp.KERNEL, Content.UNDEFINED)
    spin_unlock(m, m.vm[vm].design.spinlock)
    if page != 0:
        free_page(m, page, Role.HAND)

@design.process
def remove_external_spte(m, vm, gfn, level, page):
    yield from takes_the_mutex(m, vm)
    return (yield from dpamt_merged_remove_external_spte(m, vm, gfn, level, page))

dpamt_merged_remove_external_spte = dpamt_merged.function("remove_external_spte")
'''

LOCKED = str(Path(__file__).parents[2] / "examples" / "story" / "locked.py")
"""Its pairs wait in one pool of the VM, under a spinlock."""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> str:
        Path(name).write_text(text)
        return name

    return write


@pytest.mark.parametrize("sleeper", ["takes_the_mutex", "allocates"])
def test_who_sleeps_under_a_spinning_lock_is_named_with_the_line_that_called(written, sleeper: str) -> None:
    text = SLEEPS.replace("yield from takes_the_mutex(m, vm)\n    return", f"yield from {sleeper}(m, vm)\n    return")
    found = check(written("sleeps.py", text), "punch_hole")
    assert found.clause.startswith("context")
    lines = text.splitlines()
    called = lines.index(f"    yield from {sleeper}(m, vm)") + 1
    inner = next(number for number, line in enumerate(lines, 1) if f"def {sleeper}(" in line)
    traced = "\n".join(ending(found.counterexample.threads))
    assert f"> remove_external_spte() sleeps.py:{called}" in traced
    assert any(f"> {sleeper}() sleeps.py:{inner + more}" in traced for more in (1, 2, 3))


def test_a_pool_of_the_vm_that_runs_dry_is_what_the_race_shows() -> None:
    found = check(LOCKED, "zero_step")
    assert found.clause.startswith("provision")
    drawn = race(found)
    assert re.search(r"design\.pamt_cache\s+\.cnt: \d+ -> \d+", drawn)
    assert "pamt_cache_lock" in drawn


def test_a_pool_of_the_vm_is_counted_as_the_vms() -> None:
    """A pair for each of five levels."""
    assert FIGURES["VM"](evidence(load(LOCKED), Budget(), 1, lambda _: None, judge=False)) == "10"
