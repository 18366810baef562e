"""What looking for races costs, and what it finds: every scenario of every model with races and without, side by side.

    python -m benchmarks.races [MODEL...] [--seconds N]

Prints a line a model: the seconds of exploring without and with races, their ratio, and each scenario whose verdict differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field

from septum.check.check import Budget, check
from septum.check.loading import designs, load, sides
from septum.check.result import Result, Verdict


@dataclass
class Cost:
    """Seconds of exploring; `differ` says of each scenario whose verdict is another one what came out with races."""

    without: float = 0.0
    watched: float = 0.0
    scenarios: int = 0
    differ: list[str] = field(default_factory=list)

    def add(self, without: Result, watched: Result) -> None:
        self.scenarios += 1
        self.without += without.seconds
        self.watched += watched.seconds
        if (without.verdict, without.property) != (watched.verdict, watched.property):
            self.differ.append(f"{watched.scenario}: {watched.verdict} {watched.property} {watched.clause or watched.reason}")

    def line(self, name: str) -> str:
        ratio = self.watched / self.without if self.without else 0.0
        return f"{name:28}{self.scenarios:4}{self.without:9.2f}{self.watched:9.2f}{ratio:7.2f}"


def cost(name: str, seconds: float | None) -> Cost:
    """Of all scenarios of one model, each explored at most so long either way."""
    found, model, budget = Cost(), load(name), Budget(seconds=seconds)
    for scenario in model.scenarios:
        if scenario.needs <= model.operations:
            without = check(model, scenario.name, races=False, budget=budget)
            watched = check(model, scenario.name, budget=budget)
            if Verdict.INCOMPLETE in (without.verdict, watched.verdict):
                found.differ.append(f"{scenario.name}: {without.verdict} without, {watched.verdict} with races")
            else:
                found.add(without, watched)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=[*designs(), *sides()])
    parser.add_argument("--seconds", type=float)
    given = parser.parse_args(arguments)
    whole = Cost()
    print(f"{'model':28}{'':4}{'without':>9}{'with':>9}{'ratio':>7}")
    for name in given.models:
        found = cost(name, given.seconds)
        print(found.line(name), *(f"    {line}" for line in found.differ), sep="\n", flush=True)
        whole.without += found.without
        whole.watched += found.watched
        whole.scenarios += found.scenarios
    print(whole.line("all"))


if __name__ == "__main__":
    main()
