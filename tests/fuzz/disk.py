"""A disk that is full at any write of a command: what it says, what it leaves, and whether all is well once there is room again.

`python -m tests.fuzz.disk MOST SECONDS JOB...` tries up to MOST of the places of each job at which a disk can be full, in a
process with disk.c before the C library, and prints a line for each job; exit status 1 if an outcome is wrong.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from septum.check import check as checking
from septum.check import tokens
from septum.cli import main
from septum.explore import explore as exploring
from septum.explore.build import RACE
from septum.lang.errors import UserError
from septum.replay.tracefs import Instance
from septum.translate.compile import compiler

HERE = Path(__file__).parent
NEVER = 1 << 63
CC = """#!/bin/sh
for one; do
    [ "$before" = -o ] && made=$one
    case $one in -*) flags="$flags $one";; esac
    before=$one
done
kept={kept}/$({{ echo "$flags"; cat "$one"; }} | sha256sum | cut -c1-32)
[ -f "$kept" ] || {{ {compiler} "$@" && cp "$made" "$kept"; }}
exec cp "$kept" "$made"
"""
"""A compiler that knows what it compiled before."""

POOL = (HERE.parents[1] / "README.md").read_text().split("```python\n")[1].split("```")[0]
NAMES = ("verdict", "property", "states", "transitions", "depth")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status, what it said, and the files of the user that are there."""

    status: int
    out: str
    err: str
    files: dict[str, bytes]

    @property
    def verdicts(self) -> object:
        """Of a check all that it counted; else only the status."""
        return self.status, [[one[name] for name in NAMES] for one in self._results]

    @property
    def properties(self) -> list[str]:
        return [one["property"] for one in self._results]

    @property
    def _results(self) -> list[dict[str, Any]]:
        return json.loads(self.out)["results"] if self.out.startswith("{") else []


@dataclass(frozen=True)
class Job:
    """A command that writes; `again` is what must come to its end as ever once there is room."""

    run: Callable[[], int]
    again: Callable[[], int] | None = None
    cold: bool = False


def command(words: str) -> Callable[[], int]:
    return lambda: main(words.split())


def recorded() -> int:
    """What `septum record` does at its end."""
    try:
        Instance(Path("instance")).copy(Path("vm.trace"))
    except UserError as error:
        print(f"septum: {error}", file=sys.stderr)
        return 2
    return 0


CHECK = "check upstream --scenario punch_hole --reduce none --json --threads 1"
JOBS = {
    "cache": Job(command("check pool.py --json"), command("check pool.py --json"), cold=True),
    "schedule": Job(command("check pool.py --json")),
    "new": Job(command("new mine --op set_external_spte")),
    "record": Job(recorded),
    "--ftrace": Job(command("check upstream --scenario punch_hole --json --ftrace vm.trace")),
    "checkpoints": Job(command(f"{CHECK} --resume --budget 9k"), command(f"{CHECK} --resume")),
    "spill": Job(command(CHECK)),
}


class Tried:
    """Commands in processes of their own, each in a directory like the first; a job that is not cold finds all compiled."""

    def __init__(self, folder: Path, jobs: Iterable[Job]) -> None:
        self.folder, self.disk = folder, ctypes.CDLL(None)
        self.disk.disk_full.argtypes, self.disk.disk_count.restype = (
            (ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int),
            ctypes.c_uint64,
        )
        self.template = folder / "template"
        (self.template / "cache").mkdir(parents=True, mode=0o700)
        (self.template / "instance").mkdir()
        (self.template / "instance" / "trace").write_bytes(b"x" * (3 << 16))
        (self.template / "pool.py").write_text(POOL)
        for job in jobs:  # here, so that whoever is forked finds all imported, and what is built in translated
            with redirect_stdout(io.StringIO()):
                ended_in(self.template, job.again or job.run)
        for path in [*self.template.glob("*.schedule"), *self.template.glob("vm.trace"), *self.template.glob("mine.py")]:
            path.unlink()

    def ended(self, folder: Path, run: Callable[[], int], full: tuple[int, int, bool] = (NEVER, NEVER, False)) -> Ended:
        """A command in a directory, with a disk that is full from one write to another."""
        streams = [os.pipe(), os.pipe()]
        self.disk.disk_full(*full)
        child = os.fork()
        if child == 0:
            for number, (_, into) in enumerate(streams, 1):
                os.dup2(into, number)
            os._exit(ended_in(folder, run))
        for _, into in streams:
            os.close(into)
        out, err = (os.fdopen(of).read() for of, _ in streams)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.count = self.disk.disk_count()
        self.disk.disk_full(NEVER, NEVER, False)
        known = {path.name for path in self.template.iterdir()}
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in known}
        return Ended(status, out, err, files)

    def fresh(self, job: Job) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(self.template, folder, dirs_exist_ok=True)
        if job.cold:
            shutil.rmtree(folder / "cache")
        return folder

    def outcomes(self, job: Job, most: int) -> Iterator[str]:
        """What came of each place, counted from the first write on, in turn for good and for one write."""
        folder = self.fresh(job)
        clean = self.ended(folder, job.run)
        assert clean.status != 2, clean.err
        count = self.count
        after = self.ended(folder, job.again) if job.again else clean
        for number, place in enumerate(range(0, count, -(-count // most))):
            last, half = (NEVER, place + 1)[number % 2], number % 4 < 2
            folder = self.fresh(job)
            found = judged(self.ended(folder, job.run, (place, last, half)), clean)
            again = self.ended(folder, job.again) if job.again else after
            shutil.rmtree(folder)
            well = again.verdicts == after.verdicts
            yield found if well or found.isupper() else f"NOT WELL AGAIN: {again.status} {again.err[-300:]}"


def ended_in(folder: Path, run: Callable[[], int]) -> int:
    """The exit status; 70 for what no command may end in."""
    try:
        os.chdir(folder)
        os.environ["SEPTUM_CACHE"] = str(folder / "cache")
        status = run()
        sys.stdout.flush()
        sys.stderr.flush()
        return status
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        return 70


def judged(found: Ended, clean: Ended) -> str:
    """A name for what came out; in capitals if it may not be."""
    if found.status not in (0, 1, 2, 3) or "Traceback" in found.err or "defect" in found.err:
        return f"A CRASH: {found.status} {found.err[-600:]}"
    if any(clean.files.get(name) != content and not is_schedule(name, content) for name, content in found.files.items()):
        return f"HALF A FILE: {list(found.files)}"
    if found.status == clean.status == 1 and found.properties == [RACE] != clean.properties:
        return "the race, and not what it leads to"
    if found.status in (0, 1):
        return "done in spite of it" if found.verdicts == clean.verdicts else f"A WRONG VERDICT: {found.verdicts}"
    if not found.err and not found.out:
        return "NOTHING TOLD"
    return "refused" if found.status == 2 else "incomplete"


def is_schedule(name: str, content: bytes) -> bool:
    """Whether it is a whole schedule: what is found before the disk is full may be another one than is found at the end."""
    try:
        tokens.read(content.decode("ascii").removesuffix("\n"))
    except (UserError, UnicodeDecodeError):
        return False
    return name.endswith(".schedule") and content.endswith(b"\n")


def prepare() -> None:
    """Checkpoints at every level, states to disk at once, schedules in files."""
    checking.RESUMED_SECONDS = checking.UNASKED_SECONDS = 0
    exploring._spill_bytes = lambda budget: 1
    tokens.LONGEST = 0


def main_of(most: int, seconds: float, jobs: dict[str, Job]) -> int:
    prepare()
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        tried = Tried(Path(name), jobs.values())
        for kind, job in jobs.items():
            outcomes, end = Counter[str](), time.monotonic() + seconds / len(jobs)
            for outcome in tried.outcomes(job, most):
                outcomes[outcome] += 1
                if time.monotonic() > end:
                    break
            wrong += sum(count for outcome, count in outcomes.items() if outcome[:2].isupper() or outcome[:2] == "A ")
            said = "; ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
            print(f"full disk, {kind}: {outcomes.total():,} inputs: {said}", flush=True)
    return int(wrong > 0)


def started(most: int, seconds: float, *names: str) -> subprocess.CompletedProcess[str]:
    """The same in a process with a disk of its own; all jobs if none is named."""
    with tempfile.TemporaryDirectory() as name:
        library, cc = Path(name) / "disk.so", Path(name) / "cc"
        subprocess.run([*compiler(), "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "disk.c"), "-ldl"], check=True)
        cc.write_text(CC.format(kept=name, compiler=" ".join(compiler())))
        cc.chmod(0o700)
        environment = {**os.environ, "LD_PRELOAD": str(library), "CC": str(cc), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [sys.executable, "-m", "tests.fuzz.disk", str(most), str(seconds), *(names or JOBS)]
        return subprocess.run(words, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main_of(int(sys.argv[1]), float(sys.argv[2]), {name: JOBS[name] for name in sys.argv[3:]}))
