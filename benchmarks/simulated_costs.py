"""The tables of docs/costs.md: designs on fresh and fragmented hosts, played at the sizes given, and the rest by the rule.

    python benchmarks/simulated_costs.py fresh results.json 4GiB 16GiB 64GiB

Results are kept in the file, and what is there is not played again. One TD with one vCPU boots, touches all its memory in order
and is destroyed. The rule is a straight line through the two largest sizes that were played; how far the others lie off it is
printed. Nothing here is known but by playing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from septum.check.loading import load
from septum.cli.simulate import pages
from septum.host.frames import Role
from septum.report.numbers import memory
from septum.simulate.costs import read_costs
from septum.simulate.hosts import PAGE
from septum.simulate.kept import Kept
from septum.simulate.simulate import Options, Simulated, simulate
from septum.simulate.workloads import WORKLOADS

DESIGNS = ("upstream", "dpamt_v5", "dpamt_merged")
WANTED = (64 << 18, 1 << 28, 8 << 28)  # 64 GiB, 1 TiB, 8 TiB, in pages
TABLES = (Role.SPT.name, Role.EXTERNAL.name)

FIGURES: dict[str, Callable[[Simulated], float]] = {
    "tables": lambda one: sum(one.peak[role] for role in TABLES) * PAGE,
    "pairs": lambda one: one.peak[Role.PAIR.name] * PAGE,
    "PAMT": lambda one: one.pamt_pages,
    "SEAMCALLs": lambda one: sum(call.count for call in one.seamcalls),
    "time": lambda one: one.seconds,
}
SHOWN: dict[str, Callable[[float], str]] = {
    "tables": memory, "pairs": memory, "PAMT": memory, "SEAMCALLs": lambda count: f"{count / 1e6:,.1f} M",
    "time": lambda seconds: f"{seconds:,.0f} s",
}  # fmt: skip


def played(design: str, host: str, size: int, file: str) -> Simulated:
    """One simulation, from the file or played now."""
    options, costs, workload = Options(size, host=host), read_costs(), WORKLOADS["teardown"]
    kept, model = Kept(file, (workload.name, options, costs)), load(design)
    one = kept.find(model)
    if one is None:
        one = simulate(model, workload, options, costs)
        kept.keep(model, one)
        print(f"{design} {host} {memory(size * PAGE)}: {one.took:.0f} s", file=sys.stderr, flush=True)
    return one


def figures(points: Sequence[Simulated], size: int) -> tuple[dict[str, float], bool]:
    """What a size takes, and whether it was played: else by a straight line through the two largest that were."""
    for one in points:
        if one.options.pages == size:
            return {name: figure(one) for name, figure in FIGURES.items()}, True
    return {name: line(points[-2:], figure, size) for name, figure in FIGURES.items()}, False


def line(two: Sequence[Simulated], figure: Callable[[Simulated], float], size: int) -> float:
    """The straight line through two points."""
    (x0, y0), (x1, y1) = ((one.options.pages, figure(one)) for one in two)
    return y0 + (y1 - y0) * (size - x0) / (x1 - x0)


def off(points: Sequence[Simulated], name: str) -> float:
    """The largest part by which a size that was played lies off the line through the two largest."""
    figure = FIGURES[name]
    return max(
        (abs(line(points[-2:], figure, one.options.pages) / figure(one) - 1) for one in points[:-2] if figure(one)), default=0.0
    )


def main(hosts: str, file: str, *sizes: str) -> None:
    """Prints a table for each host, their names with a comma between."""
    for host in hosts.split(","):
        print(f"\n### A {host} host\n")
        print(f"| design | TD | {' | '.join(FIGURES)} | |\n|{' --- |' * (len(FIGURES) + 3)}")
        worst = dict.fromkeys(FIGURES, 0.0)
        for design in DESIGNS:
            points = [played(design, host, pages(size), file) for size in sorted(sizes, key=pages)]
            worst = {name: max(worst[name], off(points, name)) for name in FIGURES}
            for size in WANTED:
                found, simulated = figures(points, size)
                cells = [SHOWN[name](number) for name, number in found.items()]
                print(f"| {design} | {memory(size * PAGE)} | {' | '.join(cells)} | {'' if simulated else 'by the rule'} |")
        print("\nOff the line, at most: " + ", ".join(f"{name} {100 * part:.2f} %" for name, part in worst.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
