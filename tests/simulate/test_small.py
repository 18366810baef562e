"""At small geometry a simulation counts what `septum compare` measures by exploring: the figures of docs/compare.md."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from septum.check.loading import load
from septum.designs import BUILT_IN
from septum.host.geometry import LEVELS, THREADS
from septum.kvm.vmx.vcpu import fault
from septum.kvm.x86.vm import rcu_softirq
from septum.lang import MEASURING, Setup
from septum.lang.types import scope
from septum.scenarios.measures import real_fault
from septum.simulate.actors import measure_now
from septum.simulate.costs import read_costs
from septum.simulate.machine import Machine, Shape
from septum.tdx.status import Status

COMPARED = (Path(__file__).parents[2] / "docs" / "compare.md").read_text()
ROW = re.compile(r"^(\w+) +\S+ +\d+ +(\d+) +(\d+|-) +(\d+) +(\d+) +(\d+) +\S+$", re.MULTILINE)
FIGURES = {name: (int(idle), int(pairs), int(pops)) for name, idle, _, pairs, pops, _ in ROW.findall(COMPARED)}


@dataclass(frozen=True)
class Small(Shape):
    """One vCPU in the scope in which `compare` measures a fault."""

    def bindings(self):
        return {**real_fault.bindings, MEASURING: 1, THREADS: self.vcpus + 3}


def one_fault(design: str) -> Machine:
    model = load(design)
    machine = Machine(model, Small(512, 512), read_costs(), ((fault, 2), (measure_now, 0), (rcu_softirq, 0)))
    with scope(machine.bindings):
        real_fault.start(Setup(machine.m))
    machine.race([(0, 1, fault, (1, 0))], every=1, tick=lambda: machine.run(measure_now))
    return machine


def test_the_page_has_figures_for_every_design() -> None:
    assert set(FIGURES) == {design.name for design in BUILT_IN}


@pytest.mark.parametrize("design", [one.name for one in BUILT_IN])
def test_one_fault_takes_what_a_comparison_measures(design: str, quickly_compiled: None) -> None:
    machine = one_fault(design)
    books = machine.books
    assert (books.most_idle, books.most_idle_pairs, books.most_popped) == FIGURES[design]
    done = {leaf: books.answered[n][Status.TDX_SUCCESS] for n, leaf in enumerate(machine.leaves)}
    with scope(machine.bindings):
        assert (done["tdh_mem_sept_add"], done["tdh_mem_page_aug"]) == (LEVELS.value - 1, 1)
