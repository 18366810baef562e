"""How fast a trace is followed, and in how much memory, beside `grep -c` and `trace-cmd report`.

    .venv/bin/python benchmarks/replay.py

The traces are those of tests/replay, one VM after another, again and again. `trace-cmd report` reads no text: where it is
installed, the largest is made a trace.dat of the same events, and `septum replay` follows that as well.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "tests" / "replay" / "traces").glob("6.12-*.trace.xz"))
TIMES = (1, 4, 16, 64)
STAMP = re.compile(rb" (\d+)(\.\d{6}: )")
TRACE_DAT = (sys.executable, str(ROOT / "benchmarks" / "trace_dat.py"))
SEPTUM = (sys.executable, "-m", "septum", "replay")


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


def measured(command: Sequence[str]) -> tuple[float, float, int]:
    """Wall and CPU seconds, and the largest resident set in MiB."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)  # grep -c into /dev/null stops at the first line
    assert process.stdout is not None
    while process.stdout.read(1 << 16):
        pass  # kept, it would be counted as memory of the next command, which starts as a copy of this process
    _, status, used = os.wait4(process.pid, 0)
    process.stdout.close()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss >> 10


def row(name: str, file: Path, events: int, command: Sequence[str], startup: float = 0.0) -> None:
    wall, cpu, memory = measured(command)
    rate = events / max(cpu - startup, 1e-9)
    print(f"{name:<34} {events:>11,} {file.stat().st_size / 1e6:>7.1f} {wall:>8.2f} {cpu:>8.2f} {rate:>12,.0f} {memory:>6}")


def main() -> None:
    print(f"{'command':<34} {'events':>11} {'MB':>7} {'seconds':>8} {'CPU':>8} {'events/s':>12} {'MiB':>6}")
    with tempfile.TemporaryDirectory() as directory:
        trace, empty, dat = (Path(directory) / name for name in ("trace", "empty", "trace.dat"))
        empty.write_text("# tracer: nop\n")
        subprocess.run([*SEPTUM, str(empty)], stdout=subprocess.DEVNULL, cwd=ROOT, check=False)
        startup = min(cpu_of_nothing(empty) for _ in range(3))
        for times in TIMES:
            events = write(trace, times)
            row(f"septum replay, {times} x", trace, events, [*SEPTUM, str(trace)], startup)
        row("grep -c kvm_tdp_mmu_spte_changed", trace, events, ["grep", "-c", "kvm_tdp_mmu_spte_changed", str(trace)])
        if shutil.which("trace-cmd"):
            subprocess.run([*TRACE_DAT, str(trace), str(dat)], check=True)
            row("trace-cmd report -N trace.dat", dat, events, ["trace-cmd", "report", "-N", "-i", str(dat)])
            row("septum replay trace.dat", dat, events, [*SEPTUM, str(dat)], startup)
        else:
            print("trace-cmd is not installed.")
    print(f"A start of septum takes {startup:.2f} s of CPU, which events/s leaves out.")


def cpu_of_nothing(empty: Path) -> float:
    process = subprocess.Popen([*SEPTUM, str(empty)], stdout=subprocess.DEVNULL, cwd=ROOT)
    _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
