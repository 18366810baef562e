"""Which verdicts differ between the releases that the model follows: the table in docs/fidelity.md.

    python -m benchmarks.releases [MODEL...] [--scenario NAME] [--threads N] [--seconds N]

Explores every scenario of these models (default: all) for every release, each to its end, and puts those rows into the table
whose verdicts differ; rows of other models and scenarios stay. Where two releases have the same translated model, they have the
same verdict, and it is explored once. Those of PROGRESS are also searched for threads that may go round for ever.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.families import between, put
from septum.check.check import Budget, check, load
from septum.check.loading import designs, sides
from septum.check.mutants import alone
from septum.check.result import Result, Verdict
from septum.explore.build import Build, build
from septum.kvm.versions import RELEASES
from septum.lang import Model, Scenario
from septum.scenarios.families import FAMILIES

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
PROGRESS = (*FAMILIES["prefault / delete"], "memslot_delete", "views_fast_zap")

Rows = dict[tuple[str, str], tuple[str, ...]]  # the verdict for each release, by model and scenario


def verdicts(model: Model, scenario: Scenario, threads: int | None = None, seconds: float | None = None) -> tuple[str, ...]:
    """What a check says of the scenario for each release, in the order of RELEASES."""
    model = alone(model, scenario.name)
    said: dict[bytes, str] = {}
    row = []
    for name, number in RELEASES.items():
        same = digest(build(model, scenario, {"KERNEL": number}))
        if same not in said:
            found = check(
                model,
                scenario.name,
                kernel=name,
                threads=threads,
                budget=Budget(seconds=seconds),
                livelocks=scenario.name in PROGRESS,
            )
            said[same] = verdict(found)
        row.append(said[same])
    return tuple(row)


def digest(built: Build) -> bytes:
    """The same for two builds that explore the same states."""
    programs = [[(one.process.__name__, one.arguments) for one in thread.calls] for thread in built.threads]
    return hashlib.sha256(repr((built.translation.code, built.world, programs)).encode()).digest()


def verdict(found: Result) -> str:
    """A cell: the verdict, and what is violated."""
    return f"violated: {found.property}" if found.verdict is Verdict.VIOLATED else str(found.verdict)


def table(rows: Rows) -> str:
    """The rows whose verdicts differ."""
    lines = [f"| model | scenario | {' | '.join(RELEASES)} |", f"| --- | --- |{' --- |' * len(RELEASES)}"]
    lines += [f"| {model} | {scenario} | {' | '.join(row)} |" for (model, scenario), row in rows.items() if len(set(row)) > 1]
    return "\n".join(lines) + "\n"


def tabled(page: str) -> Rows:
    """The rows that the page has."""
    found = re.findall(r"^\| (\w+) \| (\w+) \| (.*) \|$", between(page, "releases"), re.MULTILINE)
    return {(model, scenario): tuple(row.split(" | ")) for model, scenario, row in found if model != "model"}


def scenarios(model: Model, name: str) -> Iterable[Scenario]:
    """Those that the model can run, or the one of that name."""
    return (one for one in model.scenarios if one.needs <= model.operations and name in ("", one.name))


def main() -> None:
    known = (*sides(), *designs())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(known)}")
    parser.add_argument("--scenario", metavar="NAME", default="")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seconds", type=float)
    options = parser.parse_args()
    for name in options.models or known:
        model = load(name)
        for scenario in scenarios(model, options.scenario):
            row = verdicts(model, scenario, options.threads, options.seconds)
            print(f"{name:24} {scenario.name:26} {'; '.join(row)}", file=sys.stderr, flush=True)
            page = PAGE.read_text()
            rows = tabled(page) | {(name, scenario.name): row}
            ordered = {key: rows[key] for key in sorted(rows, key=lambda key: (known.index(key[0]), key[1]))}
            PAGE.write_text(put(page, "releases", table(ordered)))


if __name__ == "__main__":
    main()
