"""How fast a trace is followed, and in how much memory, beside the tools that print the same events, in one run.

    .venv/bin/python benchmarks/replay.py

The traces are those of tests/replay, one VM after another, again and again. `trace-cmd report` and `perf script` read no text:
where they are installed, the same events are made a trace.dat and a perf.data, which `septum replay` follows through them as
well. All is CPU time, of a command and of all that it starts, and the least of a few runs, taken in turn.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "tests" / "replay" / "traces").glob("6.12-*.trace.xz"))
TIMES, RUNS = (2, 16), 4
STAMP = re.compile(rb" (\d+)(\.\d{6}: )")
MAKERS = {"trace.dat": "trace_dat.py", "perf.data": "perf_data.py"}
SEPTUM = (sys.executable, "-m", "septum", "replay")
TRACE_CMD = ("trace-cmd", "report", "-N", "-i")
PERF = ("perf", "script", "--show-lost-events", "-f", "-F", "comm,pid,tid,cpu,time,event,trace", "-i")
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""As a user has it, whose Python keeps what it compiled."""


@dataclass
class Row:
    """A command on a file: the least CPU seconds, with those of what it starts, and the most MiB of one of them."""

    name: str
    command: Sequence[str]
    file: Path
    cpu: float = float("inf")
    memory: int = 0

    def run(self) -> None:
        with subprocess.Popen([*self.command, str(self.file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT,
                              env=INSTALLED) as process:  # fmt: skip
            assert process.stdout is not None  # grep -c into /dev/null stops at the first line
            while process.stdout.read(1 << 16):
                pass  # kept, it would be counted as memory of the next command, which starts as a copy of this process
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1, 3):
            raise SystemExit(f"{' '.join(self.command)} failed")
        self.cpu = min(self.cpu, used.ru_utime + used.ru_stime)
        self.memory = max(self.memory, used.ru_maxrss >> 10)


def lines_of(sample: Path) -> list[bytes]:
    return [line for line in lzma.decompress(sample.read_bytes()).splitlines() if not line.startswith(b"#")]


def write(path: Path, times: int) -> int:
    """One VM after another, each later than the one before; the number of events."""
    bodies = [lines_of(sample) for sample in SAMPLES]
    with path.open("wb") as file:
        for number, body in enumerate(bodies * times, 1):
            file.writelines(later(line, 1000 * number) for line in body)
    return times * sum(map(len, bodies))


def later(line: bytes, seconds: int) -> bytes:
    """The line with a later time stamp."""
    return STAMP.sub(lambda found: b" %d%s" % (int(found[1]) + seconds, found[2]), line, count=1) + b"\n"


def compare(directory: Path, times: int, start: Row) -> None:
    """The rows of one length: text, and what each tool that is there prints of its own file."""
    trace = directory / "trace"
    events = write(trace, times)
    text = Row("septum replay", SEPTUM, trace)
    rows, told = [text, Row("grep -c kvm_tdp_mmu_spte_changed", ("grep", "-c", "kvm_tdp_mmu_spte_changed"), trace)], []
    for name, tool in (("trace.dat", TRACE_CMD), ("perf.data", PERF)):
        if not shutil.which(tool[0]):
            print(f"{tool[0]} is not installed.")
            continue
        subprocess.run([sys.executable, str(ROOT / "benchmarks" / MAKERS[name]), str(trace), str(directory / name)], check=True)
        alone, through = Row(" ".join(tool[:2]), tool, directory / name), Row(f"septum replay {name}", SEPTUM, directory / name)
        rows += [alone, through]
        told.append((alone, through))
    for _ in range(RUNS):
        for row in (start, *rows):
            row.run()
    for row in rows:
        used = row.cpu - start.cpu if row is text else row.cpu
        size, rate = row.file.stat().st_size / 1e6, events / used
        print(f"{row.name:<33} {events:>10,} {size:>6.1f} {row.cpu:>7.2f} {rate:>12,.0f} {row.memory:>5}")
    for alone, through in told:
        print(
            f"  text at {alone.cpu / (text.cpu - start.cpu):.1f} times the rate of {alone.name}; "
            f"{through.file.name} in {through.cpu / alone.cpu:.2f} times its CPU time"
        )


def main() -> None:
    print(f"{'command':<33} {'events':>10} {'MB':>6} {'CPU s':>7} {'events/s':>12} {'MiB':>5}")
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name) / "empty"
        empty.write_text("# tracer: nop\n")
        start = Row("a start", SEPTUM, empty)
        start.run()  # translates and compiles, where that was not kept
        start.cpu = float("inf")
        for times in TIMES:
            compare(Path(name), times, start)
    print(
        f"A start of septum takes {start.cpu:.2f} s of CPU, which the events a second of its text leave out, and of no other row."
    )


if __name__ == "__main__":
    main()
