"""How large the scopes with a name are: the states and seconds of each, for the designs that most others rest on.

The numbers are sums over the scenarios of a design, each with all reductions. `--write` puts the table into docs/commands.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from septum.check.check import Budget, check
from septum.check.loading import load
from septum.check.result import Result, Verdict

DOCUMENT = Path(__file__).parents[1] / "docs" / "commands.md"
TABLE = re.compile(r"(?<=<!-- scopes -->\n)(\|.*\n)*")
SECONDS = 5.0
DESIGNS = ("upstream", "dpamt_v4_as_posted", "dpamt_merged", "dpamt_merged_split")
SCOPES = ("tiny", "small", "review")  # `wide` has a table of its own, by families.py, and `large` is for a hunt


def results(design: str, scope: str) -> list[Result]:
    """Every scenario that the design can run."""
    model = load(design)
    able = [one.name for one in model.scenarios if one.needs <= model.operations]
    budget = Budget(seconds=SECONDS if scope == "review" else None)
    return [check(model, name, scope_name=scope, budget=budget) for name in able]


def cell(found: list[Result]) -> str:
    """`12,345 in 1.2 s`; a star where a scenario did not end in time."""
    star = "*" if any(one.verdict is Verdict.INCOMPLETE for one in found) else ""
    return f"{sum(one.states for one in found):,}{star} in {sum(one.seconds for one in found):.1f} s"


def table() -> str:
    lines = [f"| design | {' | '.join(SCOPES)} |", f"| --- | {' | '.join('---' for _ in SCOPES)} |"]
    for design in DESIGNS:
        lines.append(f"| {design} | {' | '.join(cell(results(design, scope)) for scope in SCOPES)} |")
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    made = table()
    print(made, end="")
    if "--write" in sys.argv:
        DOCUMENT.write_text(TABLE.sub(made, DOCUMENT.read_text(), count=1))
