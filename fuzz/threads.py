"""The explorer under ThreadSanitizer, with tables that grow, a frontier on disk, checkpoints and limits: no race may be told.

On the protocol of its tests, and as a check uses it, on models that are watched for races of their own.
"""

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
FLAGS = ["-std=gnu11", "-O1", "-g", "-fsanitize=thread", "-shared", "-fPIC", "-pthread"]
RACING = """
from septum.lang import *

class World(Struct):
    y: u64

@process
def run(m: World):
    while True:
        yield
        m.y = u64((m.y + 1) & 0xFFFFFFFF)

def go(setup):
    setup.thread("T0", call(run))
    setup.thread("T1", call(run))

model = Model("racing", World, (Scenario("s", "", go),))
"""
STATES = 100_000
CONFIGURATION = ["-DCONFIG='B'", "-DPLANT=0", "-DPADDING=0"]


def explore_all(folder: Path) -> None:
    """Runs in a Python that was started with the sanitizer; what it finds goes to standard error."""
    from septum.explore.checkpoint import Checkpoint
    from septum.explore.explore import Budget, explore

    library = ctypes.CDLL(str(folder / "toy.so"))
    initial = ctypes.create_string_buffer(library.septum_state_size())
    library.toy_initial(initial)
    for spill, symmetry in itertools.product((1, 1 << 30), (False, True)):
        for resume in (False, True):
            found = explore(
                library,
                initial.raw,
                library.septum_max_threads(),
                workers=3,
                symmetry=symmetry,
                directory=folder,
                spill_bytes=spill,
                budget=Budget(states=None if resume else 100_000),
                progress=lambda _: None,
                checkpoint=Checkpoint(folder / "checkpoint", b"toy", resume=resume, seconds=1),
            )
        print(f"threads: spill {spill}, symmetry {symmetry}: {found.outcome.name}, {found.states} states", flush=True)


def check_all(folder: Path) -> None:
    """The same of checks: a budget ends each, and it goes on."""
    from septum.check import check as checking
    from septum.check.check import REDUCTIONS, check
    from septum.explore import explore as exploring
    from septum.explore.explore import Budget

    checking.RESUMED_SECONDS = 1
    exploring._spill_bytes = lambda budget: 1
    (folder / "racing.py").write_text(RACING)
    models = (("upstream", "neighbours_enomem"), (str(folder / "racing.py"), "s"))
    for (design, scenario), reduce in itertools.product(models, (frozenset(), REDUCTIONS)):
        for states in (STATES // 2, STATES):
            budget = Budget(states=states)
            found = check(design, scenario, budget=budget, threads=3, reduce=reduce, resume=True, progress=lambda _: None)
        print(f"threads: {scenario} of {design}, watched: {found.verdict}, {found.states} states", flush=True)


def main() -> int:
    from septum.explore.explore import sources

    compiler = shutil.which("gcc")
    asked = subprocess.run([compiler or "false", "-print-file-name=libtsan.so"], capture_output=True, text=True)
    runtime = asked.stdout.strip()
    if not Path(runtime).is_absolute():
        print("threads: skipped, gcc with ThreadSanitizer (libtsan) is not installed")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = [TOY / "explorer_toy.c", *(path for part in sources().values() for path in part), TOY / "explorer_toy_hooks.c"]
        (folder / "toy.c").write_text("".join(f'#include "{part}"\n' for part in parts))
        subprocess.run([str(compiler), *FLAGS, *CONFIGURATION, "toy.c", "-o", "toy.so"], cwd=folder, check=True)
        environment = {**os.environ, "LD_PRELOAD": runtime, "TSAN_OPTIONS": "exitcode=66"}
        environment |= {"CC": str(compiler), "CFLAGS": "-fsanitize=thread -g", "SEPTUM_CACHE": f"{name}/cache"}
        status = subprocess.run([sys.executable, __file__, name], env=environment).returncode
    print(f"threads: {'no race' if status == 0 else 'RACES, see above'}")
    return status


if __name__ == "__main__":
    if len(sys.argv) > 1:
        explore_all(Path(sys.argv[1]))
        check_all(Path(sys.argv[1]))
    else:
        sys.exit(main())
