"""The explorer under ThreadSanitizer, with tables that grow, a frontier on disk, checkpoints and limits: no race may be told."""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

TOY = ROOT / "tests" / "explore"
FLAGS = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-fsanitize=thread",
    "-shared",
    "-fPIC",
    "-pthread",
    "-DCONFIG='B'",
    "-DPLANT=0",
    "-DPADDING=0",
]


def explore_all(folder: Path) -> None:
    """Runs in a Python that was started with the sanitizer; what it finds goes to standard error."""
    from septum.explore.checkpoint import Checkpoint
    from septum.explore.explore import Budget, explore

    library = ctypes.CDLL(str(folder / "toy.so"))
    initial = ctypes.create_string_buffer(library.septum_state_size())
    library.toy_initial(initial)
    for spill, symmetry, limit in itertools.product((1, 1 << 30), (False, True), (None, 150_000)):
        for resume in (False, True):
            found = explore(
                library, initial.raw, library.septum_max_threads(), workers=4, symmetry=symmetry, fusion=symmetry, directory=folder,
                spill_bytes=spill, budget=Budget(states=None if resume else limit), progress=lambda _: None,
                checkpoint=Checkpoint(folder / "checkpoint", b"toy", resume=resume, seconds=0),
            )  # fmt: skip
        print(f"spill {spill}, symmetry {symmetry}, limit {limit}: {found.outcome.name}, {found.states} states")


def main() -> int:
    from septum.explore.explore import sources

    compiler = shutil.which("gcc")
    runtime = (
        compiler and subprocess.run([compiler, "-print-file-name=libtsan.so"], capture_output=True, text=True).stdout.strip()
    )
    if not runtime or not Path(runtime).exists():
        print("threads: skipped, gcc with ThreadSanitizer (libtsan) is not installed")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [TOY / "explorer_toy.c", *(path for part in sources().values() for path in part), TOY / "explorer_toy_hooks.c"]
        (folder / "toy.c").write_text("".join(f'#include "{part}"\n' for part in parts))
        subprocess.run([str(compiler), *FLAGS, "toy.c", "-o", "toy.so"], cwd=folder, check=True)
        environment = {**os.environ, "LD_PRELOAD": runtime, "TSAN_OPTIONS": "exitcode=66"}
        return subprocess.run([sys.executable, __file__, name], env=environment).returncode


if __name__ == "__main__":
    if len(sys.argv) > 1:
        explore_all(Path(sys.argv[1]))
    else:
        sys.exit(main())
