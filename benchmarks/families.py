"""The families of scenarios, and how large each is in its two sizes: docs/scenarios.md.

    python benchmarks/families.py [MODEL...] [--scenario NAME] [--threads N] [--small] [--text]

Explores every scenario of these models (default: all of MODELS) in the scopes `small` and `wide`, each to its end, and puts the
numbers into the page, where the others stay. `--small` leaves `wide` out: it stays where the small size is as it was, and
is not measured otherwise. `--text` explores nothing: it only writes what the docstrings say.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from septum.check.check import check
from septum.check.loading import load
from septum.check.result import Result, Verdict
from septum.lang import Model, Scenario
from septum.scenarios.families import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "scenarios.md"
DESIGNS = ("upstream", "dpamt_merged", "dpamt_merged_split")
PLAIN = "kvm"
MODELS = (*DESIGNS, *(f"kvm_{name}" for name in DESIGNS), PLAIN)
LARGER = ("VCPUS", "LEVELS", "RESCHED")

Cells = dict[tuple[str, str], str]  # by scenario and column, which is a design, PLAIN, or "larger"


def scenarios(model: Model) -> dict[str, Scenario]:
    """Those that the model can run, by name."""
    return {one.name: one for one in model.scenarios if one.needs <= model.operations}


def text() -> str:
    """Each family: who runs what, and what can go wrong."""
    known = {name: one for model in MODELS for name, one in scenarios(load(model)).items()}
    lines = []
    for family, names in FAMILIES.items():
        lines += ["", f"### {family[0].upper()}{family[1:]}", ""]
        lines += ["| scenario | what runs | what can go wrong |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {known[name].title} | {known[name].start.__doc__} |" for name in names]
    return "\n".join([*lines, "", ""])


def measured(model: str, scenario: str, threads: int) -> Iterator[Cells]:
    """The cells that a model gives, of one scenario after another."""
    made = load(model)
    for name in (name for names in FAMILIES.values() for name in names if name in scenarios(made) and scenario in ("", name)):
        small, wide = (check(made, name, scope_name=scope, threads=threads) for scope in ("small", "wide"))
        changed = [size for size in LARGER if wide.scope.get(size) != small.scope.get(size)]
        print(f"{model:24} {name:22} {cell(small):>12} {cell(wide):>12} {wide.seconds:8.1f}", file=sys.stderr, flush=True)
        yield {
            (name, "larger"): ", ".join(f"{size} {wide.scope[size]}" for size in changed),
            (name, model.removeprefix("kvm_")): f"{cell(small)}; {cell(wide)} in {wide.seconds:.0f} s",
        }


def measured_small(model: str, scenario: str, threads: int) -> Iterator[Cells]:
    """The cells of a model whose larger sizes are not explored."""
    made, column, known = load(model), model.removeprefix("kvm_"), documented(PAGE.read_text())
    for name in (name for names in FAMILIES.values() for name in names if name in scenarios(made) and scenario in ("", name)):
        small = cell(check(made, name, threads=threads, races=False))
        print(f"{model:24} {name:22} {small:>12}", file=sys.stderr, flush=True)
        if not known.get((name, column), "").startswith(f"{small}; "):
            yield {(name, "larger"): known.get((name, "larger"), ""), (name, column): f"{small}; not measured"}


def cell(found: Result) -> str:
    """How many states there are, or how soon a property is violated."""
    if found.verdict is Verdict.VIOLATED:
        return f"{found.property} in {found.depth} steps"
    return f"{found.states:,}" if found.holds else str(found.verdict)


def sizes(cells: Cells) -> str:
    """A table for TDs, a column for each design, and one for plain VMs."""
    tables = []
    for columns in (DESIGNS, (PLAIN,)):
        lines = [f"| scenario | larger | {' | '.join(columns)} |", f"| --- | --- | {' | '.join('---' for _ in columns)} |"]
        for name in (name for names in FAMILIES.values() for name in names):
            row = [cells.get((name, column), "") for column in columns]
            lines += [f"| {name} | {cells[name, 'larger']} | {' | '.join(row)} |"] if any(row) else []
        tables.append("\n".join(lines))
    return "\n\n".join(tables) + "\n"


def documented(page: str) -> Cells:
    """The cells that the page has."""
    cells: Cells = {}
    columns: list[str] = []
    for line in between(page, "sizes").splitlines():
        row = [item.strip() for item in line.strip("|").split("|")]
        columns = row[1:] if row[0] == "scenario" else columns
        if re.fullmatch(r"\w+", row[0]) and row[0] != "scenario":
            cells |= {(row[0], column): item for column, item in zip(columns, row[1:], strict=True)}
    return cells


def is_documented(model: str, found: Result) -> bool:
    """Whether the page says of the small size what was found. Of a scenario in no family it says nothing."""
    if not any(found.scenario in names for names in FAMILIES.values()):
        return True
    return documented(PAGE.read_text())[found.scenario, model.removeprefix("kvm_")].startswith(f"{cell(found)}; ")


def between(page: str, mark: str) -> str:
    """What stands between two marks of the page."""
    return page.split(f"<!-- {mark} -->\n")[1]


def put(page: str, mark: str, new: str) -> str:
    before, _, after = page.split(f"<!-- {mark} -->\n")
    return f"<!-- {mark} -->\n".join((before, new, after))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--scenario", metavar="NAME", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--text", action="store_true")
    options = parser.parse_args()
    PAGE.write_text(put(PAGE.read_text(), "families", text()))
    for model in [] if options.text else options.models or MODELS:
        measure = measured_small if options.small else measured
        for cells in measure(model, options.scenario, options.threads):
            page = PAGE.read_text()
            PAGE.write_text(put(page, "sizes", sizes(documented(page) | cells)))


if __name__ == "__main__":
    main()
