"""How fast the explorer is: transitions a second, unreduced, with the properties on, and the Python engine beside it.

    python benchmarks/explorer.py [DESIGN SCENARIO]

Every figure is the median of several runs in this minute on this machine; what to compare are the ratios.
"""

from __future__ import annotations

import sys

from septum.check.loading import load
from septum.check.search import Search
from septum.explore.build import Build, build
from septum.explore.explore import Budget, Exploration, Outcome, explore
from septum.lang.types import scope

RUNS, SECONDS = 3, 10.0
PYTHON_SECONDS = 5.0


def measured(built: Build, workers: int, reduced: bool) -> Exploration:
    """The run with the median rate of several, each to the end or to the end of its time."""
    threads, budget = len(built.threads), Budget(seconds=SECONDS)
    options = {
        "daemons": built.daemons,
        "workers": workers,
        "symmetry": reduced,
        "fusion": reduced,
        "partial": reduced,
        "budget": budget,
    }
    runs = [explore(built.reducible(), built.initial, threads, **options) for _ in range(RUNS)]
    if any(run.outcome not in (Outcome.COMPLETE, Outcome.OUT_OF_TIME) for run in runs):
        raise SystemExit(f"{built.scenario.name} ended with {runs[0].outcome}")
    return sorted(runs, key=lambda run: run.transitions / run.seconds)[RUNS // 2]


def row(name: str, found: Exploration, one_core: float) -> None:
    rate = found.transitions / found.seconds
    counts = f"{found.states:>12,} {found.transitions:>12,}"
    print(f"{name:<32} {counts} {found.seconds:>9.3f} {rate / 1e6:>9.3f} {rate / one_core:>7.2f}")


def main() -> None:
    design, scenario = sys.argv[1:3] if len(sys.argv) > 2 else ("upstream", "neighbours_enomem")
    model = load(design)
    built = build(model, next(one for one in model.scenarios if one.name == scenario), {"VCPUS": 3})
    print(f"{design} {scenario}, 3 vCPUs: states of {built.translation.state_size} bytes, all properties on")
    print(f"median of {RUNS} runs of up to {SECONDS:.0f} seconds\n")
    print(f"{'':<32} {'states':>12} {'transitions':>12} {'seconds':>9} {'M/s':>9} {'x':>7}")
    with scope(built.bindings):
        one = measured(built, 1, False)
        rate = one.transitions / one.seconds
        row("C engine, unreduced, 1 core", one, rate)
        row("C engine, unreduced, 2 cores", measured(built, 2, False), rate)
        row("C engine, reduced, 1 core", measured(built, 1, True), rate)
        row(f"Python engine, {PYTHON_SECONDS:.0f} seconds", Search(built, Budget(seconds=PYTHON_SECONDS), None).run(), rate)


if __name__ == "__main__":
    main()
