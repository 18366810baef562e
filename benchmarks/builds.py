"""How fast builds of septum explore, side by side: nanoseconds a transition, over all designs that they have.

    python benchmarks/builds.py ROOT...

ROOT is the root of a version's sources; one alone is measured beside this one. Each build explores the same scenario of a design
in turn, with one thread and without reductions, several times; the figure is the least, and what to compare is the ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from math import exp, log
from pathlib import Path

HERE = Path(__file__).parents[1]
SCENARIO, STATES, RUNS = "neighbours_enomem", "500k", 3


def explored(root: Path, cache: Path, design: str) -> tuple[int, float]:
    """The transitions of one run, and its nanoseconds for each; SystemExit where the build has no such run."""
    command = ["check", design, "--scenario", SCENARIO, "--reduce", "none", "--threads", "1", "--budget", STATES, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(root), "SEPTUM_CACHE": str(cache), "CFLAGS": "-O2"}
    run = subprocess.run([sys.executable, "-m", "septum", *command], env=environment, cwd=cache, capture_output=True, text=True)
    if run.returncode not in (0, 1, 3):
        raise SystemExit(f"{root}: septum {' '.join(command)}: {run.stderr}")
    (result,) = json.loads(run.stdout)["results"]
    return result["transitions"], result["seconds"] / result["transitions"] * 1e9


def designs(root: Path) -> list[str]:
    command = [sys.executable, "-m", "septum", "list", "designs", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    return [one["name"] for one in json.loads(run.stdout)["designs"]]


def main() -> None:
    given = [Path(name).resolve() for name in sys.argv[1:]]
    roots = given if len(given) > 1 else [HERE, *given]
    known = [designs(root) for root in roots]
    logarithms = [0.0 for _ in roots]
    chosen = [name for name in known[0] if all(name in names for names in known)]
    with tempfile.TemporaryDirectory() as directory:
        caches = [Path(directory) / str(number) for number in range(len(roots))]
        for cache in caches:
            cache.mkdir()
        for design in chosen:
            runs = [[explored(root, cache, design) for root, cache in zip(roots, caches, strict=True)] for _ in range(RUNS)]
            least = [min(run[number][1] for run in runs) for number in range(len(roots))]
            counts = [one[0] for one in runs[0]]
            same = "" if len(set(counts)) == 1 else f"   transitions: {counts}"
            shown = [f"{one:8.0f} ns {one / least[0]:6.3f} x" for one in least]
            print(f"{design:<28}", *shown, same, flush=True)
            logarithms = [total + log(one / least[0]) for total, one in zip(logarithms, least, strict=True)]
    print(f"{'geometric mean of all':<28}", *(f"{'':8}    {exp(one / len(chosen)):6.3f} x" for one in logarithms))


if __name__ == "__main__":
    main()
