"""Mutated traces through the readers and the follower under sanitizers, and damaged archives."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _tally import SECONDS, SEED

from tests.fuzz import readers

BATCH, ARCHIVES = 20_000, 2_000


def main() -> int:
    """Batches until the seconds are over; 1 if a sanitizer complained."""
    came: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        program, files = readers.built(directory), readers.corpus(directory)
        end, seed = time.monotonic() + SECONDS, SEED
        while time.monotonic() < end:
            try:
                came += readers.fuzz(program, files, BATCH, seed)
            except subprocess.CalledProcessError as error:
                kept = Path("fuzz-input")
                kept.write_bytes((directory / "fuzz-input").read_bytes())
                print(f"readers: WRONG, seed {seed}; the input lies in {kept}\n{error.stderr[-4000:]}", flush=True)
                return 1
            seed += 1
        said = "; ".join(f"{count:,} {outcome}" for outcome, count in came.most_common())
        print(f"readers: {came.total():,} inputs (seed {SEED}): {said}", flush=True)
        damaged = readers.damaged(ARCHIVES, SEED, directory)
        said = "; ".join(f"{count:,} {outcome}" for outcome, count in damaged.most_common())
        print(f"archives: {damaged.total():,} inputs (seed {SEED}): {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
