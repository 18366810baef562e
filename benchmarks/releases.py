"""Which verdicts differ between the releases that the model follows: the table in docs/fidelity.md.

    python -m benchmarks.releases [MODEL...] [--scenario NAME] [--threads N] [--seconds N] [--kept FILE]

Explores every scenario of these models (default: all) for every release, each to its end, and puts those rows into the table
whose verdicts differ; rows of other models and scenarios stay. Where two releases have the same translated model, they have the
same verdict, and it is explored once. Those of PROGRESS are also searched for threads that may go round for ever. Under the table
stands how many verdicts the last run gave, and of which sort. `--kept` names a file with the verdicts of an
earlier run by hash, to go on from there, or after a change of a model; a change of septum's own Python makes it void.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.families import between, put
from septum.check.check import Budget, check
from septum.check.loading import designs, load, sides
from septum.check.result import Result, Verdict
from septum.explore.build import Build, build
from septum.kvm.versions import KERNEL, RELEASES
from septum.lang import Model, Scenario
from septum.scenarios.families import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
PROGRESS = {*FAMILIES["prefault / delete"], "memslot_delete", "views_fast_zap"} - {"prefault_signals"}
"""Without the one in which userspace goes round as long as signals come."""

Rows = dict[tuple[str, str], tuple[str, ...]]  # the verdict for each release, by model and scenario
Said = dict[str, str]  # the verdict of a translated model by its digest


def verdicts(model: Model, scenarios: Sequence[Scenario], said: Said, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """What a check says of each scenario for each release, in the order of RELEASES; what was not said yet is explored.

    A release at a time, bound in the model: then its scenarios of the same sizes share a translation. Each is explored once, and
    so compiled in a hurry.
    """
    columns = []
    hurried = tuple(replace(one, few_states=True) for one in scenarios)
    for release, number in RELEASES.items():
        of = replace(model, bindings={**model.bindings, KERNEL: number}, scenarios=hurried)
        column = []
        for scenario in hurried:
            same = digest(build(of, scenario))
            if same not in said:
                said[same] = verdict(
                    check(
                        of,
                        scenario.name,
                        threads=options.threads,
                        budget=Budget(seconds=options.seconds),
                        livelocks=scenario.name in PROGRESS,
                    )
                )
            print(f"{model.name:24} {scenario.name:26} {release:5} {said[same]}", file=sys.stderr, flush=True)
            column.append(said[same])
        columns.append(column)
    return zip(*columns, strict=True)


def digest(built: Build) -> str:
    """The same for two builds of one scenario that explore the same states and give what they find the same name.

    The C has the properties and the explorer in it, and of what fails and what is reached only numbers.
    """
    of = built.translation
    programs = [(thread.daemon, [(call.process.__name__, call.arguments) for call in thread.calls]) for thread in built.threads]
    names = ([(site.kind, site.message) for site in of.sites], [one.name for one in of.witnesses])
    return hashlib.sha256(repr((built.scenario.name, of.code, built.world, programs, names)).encode()).hexdigest()


def verdict(found: Result) -> str:
    """A cell: the verdict, and what is violated."""
    return f"violated: {found.property}" if found.verdict is Verdict.VIOLATED else str(found.verdict)


class Kept(dict[str, str]):
    """Verdicts by digest that are in a file too, a line each."""

    def __init__(self, file: Path) -> None:
        super().__init__(line.split(" ", 1) for line in (file.read_text().splitlines() if file.exists() else ()))
        self.file = file

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        with self.file.open("a") as file:
            file.write(f"{key} {value}\n")


def table(rows: Rows) -> str:
    """The rows whose verdicts differ."""
    lines = [f"| model | scenario | {' | '.join(RELEASES)} |", f"| --- | --- |{' --- |' * len(RELEASES)}"]
    lines += [f"| {model} | {scenario} | {' | '.join(row)} |" for (model, scenario), row in rows.items() if len(set(row)) > 1]
    return "\n".join(lines) + "\n"


def tabled(page: str) -> Rows:
    """The rows that the page has."""
    found = re.findall(r"^\| (\w+) \| (\w+) \| (.*) \|$", between(page, "releases"), re.MULTILINE)
    return {(model, scenario): tuple(row.split(" | ")) for model, scenario, row in found if model != "model"}


def count(models: str, rows: Iterable[tuple[str, ...]]) -> str:
    """The line under the table: what was explored last."""
    each = Counter(cell.split(":")[0] for row in rows for cell in row)
    sorts = ", ".join(f"{number:,} {sort}" for sort, number in each.most_common())
    return f"Explored last: {models}. Of {each.total():,} verdicts, a scenario for a release, {sorts}.\n"


def scenarios(model: Model, name: str) -> list[Scenario]:
    """Those that the model can run, or the one of that name."""
    return [one for one in model.scenarios if one.needs <= model.operations and name in ("", one.name)]


def main() -> None:
    known = (*sides(), *designs())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(known)}")
    parser.add_argument("--scenario", metavar="NAME", default="")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--kept", type=Path, metavar="FILE")
    options = parser.parse_args()
    said: Said = Kept(options.kept) if options.kept else {}
    found: Rows = {}
    for name in options.models or known:
        model = load(name)
        chosen = scenarios(model, options.scenario)
        found |= zip([(name, one.name) for one in chosen], verdicts(model, chosen, said, options), strict=True)
        page = PAGE.read_text()
        rows = tabled(page) | found
        ordered = {key: rows[key] for key in sorted(rows, key=lambda key: (known.index(key[0]), key[1]))}
        PAGE.write_text(put(page, "releases", table(ordered)))
    if not options.scenario:
        PAGE.write_text(put(PAGE.read_text(), "verdicts", count(", ".join(options.models) or "all models", found.values())))


if __name__ == "__main__":
    main()
