"""How fast models are translated: CPU seconds for all scenarios of every built-in model, without the C compiler.

    python benchmarks/translate.py [ROOT...]

ROOT is the root of a version's sources; one alone is measured beside this one. They are measured in turn, design by design,
and what to compare is the ratio.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parents[1]
RUNS = 2


def seconds(design: str) -> float:
    """CPU seconds in which every scenario of a model is made ready to compile."""
    from septum.check.loading import load
    from septum.explore.build import build

    model = load(design)
    begun = time.process_time()
    for scenario in model.scenarios:
        if scenario.needs <= model.operations:
            build(model, scenario)
    return time.process_time() - begun


def elsewhere(root: Path, design: str) -> float:
    """The least of several runs, each in a process of its own, so that nothing is known of an earlier one."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", design]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(RUNS)]
    return min(float(run.stdout) for run in runs)


def main() -> None:
    from septum.check.loading import designs, sides

    given = [Path(name).resolve() for name in sys.argv[1:]]
    roots = given if len(given) > 1 else [HERE, *given]
    totals = [0.0 for _ in roots]
    for design in [*designs(), *sides()]:
        found = [elsewhere(root, design) for root in roots]
        totals = [total + one for total, one in zip(totals, found, strict=True)]
        print(f"{design:<28}", *(f"{one:8.2f} s" for one in found), *(f"{one / found[0]:7.2f} x" for one in found[1:]))
    print(f"{'all':<28}", *(f"{one:8.2f} s" for one in totals), *(f"{one / totals[0]:7.2f} x" for one in totals[1:]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(seconds(sys.argv[2]))
    else:
        main()
