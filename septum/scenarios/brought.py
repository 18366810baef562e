"""Threads that a design brings: a worker of its own runs beside those of every scenario."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import replace

from septum.host.geometry import THREADS
from septum.lang import Scenario, Setup, Thread


def beside(scenario: Scenario, threads: Sequence[Thread]) -> Scenario:
    """The scenario with these threads too, each on a CPU of its own behind those that it has."""
    if not threads:
        return scenario
    known = scenario.bindings.get(THREADS, THREADS.default)

    def cpus() -> int:
        return operator.index(known() if callable(known) else known) + len(threads)  # type: ignore[call-overload]

    @functools.wraps(scenario.start)
    def start(setup: Setup) -> None:
        scenario.start(setup)
        for one in threads:
            setup.thread(one.name, *one.calls, daemon=one.daemon)

    return replace(scenario, start=start, bindings={**scenario.bindings, THREADS: cpus})
