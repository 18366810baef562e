"""Every design under the contention rules of two TDX modules: the table in docs/compare.md.

    python -m benchmarks.modules [DESIGN...] [--threads N] [--seconds N]

Explores every scenario of these designs (default: all, and KVM's own models) under both versions, each to its end or to its
violation, and writes a row a design; rows of other designs stay. A verdict that is not the same under both is named in its row.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.families import between, put
from benchmarks.releases import scenarios, verdict
from septum.check.check import Budget, check
from septum.check.loading import designs, load, sides
from septum.check.result import Result, Verdict

PAGE = Path(__file__).parents[1] / "docs" / "compare.md"
VERSIONS = ("1.5.16", "1.5.25")


@dataclass(frozen=True)
class Row:
    """A design under both versions: how many scenarios end, which are violated and which differ, and the states of all."""

    explored: str
    violated: str
    differ: str
    states: tuple[str, str]


def measure(name: str, threads: int | None, seconds: float | None) -> Row:
    """Every scenario of the design, under both."""
    model = load(name)
    both: dict[str, list[Result]] = {}
    for version in VERSIONS:
        for one in scenarios(model, ""):
            found = check(name, one.name, module=version, threads=threads, budget=Budget(seconds=seconds))
            print(f"{name:24} {one.name:26} {version} {found.states:12,} {verdict(found)}", file=sys.stderr, flush=True)
            both.setdefault(one.name, []).append(found)
    ends = sum(all(one.verdict is not Verdict.INCOMPLETE for one in pair) for pair in both.values())
    violated = [f"{name}: {first.property}" for name, (first, _) in both.items() if first.verdict is Verdict.VIOLATED]
    differ = [f"{name}: {verdict(a)}, then {verdict(b)}" for name, (a, b) in both.items() if verdict(a) != verdict(b)]
    states = [f"{sum(pair[i].states for pair in both.values()):,}" for i in (0, 1)]
    return Row(f"{ends} of {len(both)}", ", ".join(violated) or "-", ", ".join(differ) or "none", (states[0], states[1]))


def table(rows: dict[str, Row]) -> str:
    """A row a design."""
    head = [
        "design",
        "scenarios explored",
        f"violated, {VERSIONS[0]}",
        "verdicts that differ",
        *(f"states, {one}" for one in VERSIONS),
    ]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    lines += [
        f"| `{name}` | {row.explored} | {row.violated} | {row.differ} | {' | '.join(row.states)} |" for name, row in rows.items()
    ]
    return "\n".join(lines) + "\n"


def tabled(page: str) -> dict[str, Row]:
    """The rows that the page has."""
    found = re.findall(r"^\| `(.+)` \| (.*) \| (.*) \| (.*) \| (.*) \| (.*) \|$", between(page, "modules"), re.MULTILINE)
    return {name: Row(explored, violated, differ, (one, other)) for name, explored, violated, differ, one, other in found}


def main() -> None:
    known = (*designs(), *sides())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("designs", nargs="*", metavar="DESIGN", help=f"of {', '.join(known)}")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    for name in options.designs or known:
        row = measure(name, options.threads, options.seconds)
        page = PAGE.read_text()
        rows = tabled(page) | {name: row}
        PAGE.write_text(put(page, "modules", table({one: rows[one] for one in known if one in rows})))


if __name__ == "__main__":
    main()
