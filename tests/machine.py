"""A machine outside of any scenario, for tests of single functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from septum.designs import upstream
from septum.host.geometry import FIXED_PAGES
from septum.kvm.design import Design
from septum.kvm.machine import Machine
from septum.lang import Setup, scope
from septum.lang.processes import Choose, When, running
from septum.lang.struct import allocate, realise
from septum.scenarios import KVM, PLAIN_VMS, SCENARIOS
from septum.scenarios.world import World


@contextmanager
def world(design: Design = upstream, like: str = "neighbours", folios: int = 0, fixed: int = 0) -> Iterator[World]:
    """A world with the sizes of a scenario, or with so many fixed pages, and nothing in it yet; thread 0 runs."""
    sizes = dict(next(one for one in (*SCENARIOS, *KVM, *PLAIN_VMS) if one.name == like).bindings)
    if fixed:
        sizes[FIXED_PAGES] = fixed + 1
    with scope({**design.bindings(), **sizes}):
        m, _ = allocate(realise(Machine, {}))
        running.thread, running.excused = 0, frozenset()
        yield World(Setup(m), folios)


def run(process: Any, choices: Sequence[int] = (), until: int = 10_000) -> Any:
    """Runs a process alone to its end, with these choices where there is one, then 0; its result. A `when` must hold."""
    left = list(choices)
    send = None
    for _ in range(until):
        try:
            request = process.send(send)
        except StopIteration as end:
            return end.value
        assert not isinstance(request, When) or request.condition(), "the process would wait for ever"
        send = (left.pop(0) if left and request.count() > 1 else 0) if isinstance(request, Choose) else None
        assert not isinstance(request, Choose) or send < request.count()
    raise AssertionError("the process does not end")


def steps(process: Any, count: int) -> Any:
    """Runs the first `count` steps of a process, whose choices are 0, and leaves it there."""
    for number in range(count):
        process.send(0 if number else None)
    return process
