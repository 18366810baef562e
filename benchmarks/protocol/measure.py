"""Run every checker that is installed on the protocol of README.md and print one table.

    python3 measure.py [--configurations ABC] [--runs 5] [--tool spin] [--limit 600] [--json]

Verifiers that are programs (SPIN's, Rumur's, the hand-written C) are generated and compiled first, outside the measured
time; TLC, Harmony and septum are timed with their start, septum with its translation and compilation too. The column
`with build` counts all of it on all sides. The tools take turns, so that noise is spread over all. A tool that is absent is
named and left out. TLC is found through --tla-jar or TLA2TOOLS, Harmony through --harmony or PATH. Exit status 1: a tool
counted other states than it should, found a violation or a deadlock, or failed.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIG = {"A": 1, "B": 2, "C": 3, "D": 4}
STATES = {"A": 39_882, "B": 276_670, "C": 3_320_344, "D": 37_875_314}
STATES_WITH_ENTRY = {"A": 39_923, "B": 316_107, "C": 3_414_163}
ORBITS = {"A": 632, "B": 5_530, "C": 7_022, "D": 92_906}  # states that differ in more than the names of pages 3..11
TABLE_BITS = {"A": 18, "B": 20, "C": 23, "D": 26}
CC = os.environ.get("CC", "cc")


@dataclass
class Tool:
    """One checker with one choice of settings."""

    name: str
    version: str
    prepare: Callable[[Path, str], list[str]]  # builds for a configuration in a directory, returns the command to time
    states: str  # regular expressions on the output
    generated: str
    holds: str  # what the output says of a run without violation and deadlock
    counts: str = "equal"  # what its number of states should be: equal, entry, orbits, reduced or lossy
    largest: str = "D"
    once: bool = False  # too slow to repeat


@dataclass
class Result:
    """What the runs of one tool on one configuration gave."""

    tool: Tool
    configuration: str
    command: list[str]
    build_seconds: float
    directory: Path = Path()
    seconds: list[float] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    states: int | None = None
    generated: int | None = None
    holds: bool = True
    problem: str = ""

    def agreement(self) -> str:
        """How the count of states compares with the reference: the tool's `counts`, or `WRONG`, as is a violation."""
        if self.states is None:
            return self.problem
        expected = STATES[self.configuration]
        good = {
            "equal": self.states == expected,
            "entry": self.states == STATES_WITH_ENTRY.get(self.configuration, 0) + 1,
            "orbits": self.states == ORBITS[self.configuration],
            "reduced": self.states <= expected,
            "lossy": 0.95 * expected < self.states <= expected,
        }[self.tool.counts]
        return self.tool.counts if good and self.holds else "WRONG"


def output_of(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()


def build(directory: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-400:]}")


def by_hand(workers: int) -> Callable[[Path, str], list[str]]:
    def prepare(directory: Path, configuration: str) -> list[str]:
        flags = ["-O3", "-march=native", "-pthread", f"-DCONFIG={CONFIG[configuration]}", f"-DWORKERS={workers}"]
        build(directory, CC, *flags, str(HERE / "mirror_fault.c"), "-o", "by_hand")
        return ["./by_hand"]

    return prepare


def spin(*flags: str, options: tuple[str, ...] = ()) -> Callable[[Path, str], list[str]]:
    def prepare(directory: Path, configuration: str) -> list[str]:
        build(directory, "spin", "-a", f"-DCONFIG={CONFIG[configuration]}", str(HERE / "mirror_fault.pml"))
        build(directory, CC, "-O2", "-w", "-DSAFETY", "-DMEMLIM=16000", *flags, "pan.c", "-o", "pan")
        return ["./pan", f"-w{TABLE_BITS[configuration]}", *options]

    return prepare


def rumur(threads: int, symmetric: bool = False, level: str = "-O3") -> Callable[[Path, str], list[str]]:
    def prepare(directory: Path, configuration: str) -> list[str]:
        text = (HERE / ("mirror_fault_symmetric.m" if symmetric else "mirror_fault.m")).read_text()
        (directory / "model.m").write_text(text.replace("CONFIG: 1;", f"CONFIG: {CONFIG[configuration]};"))
        options = ["--deadlock-detection", "stuck", "--counterexample-trace", "off"]
        options += ["--symmetry-reduction", "heuristic", "--scalarset-schedules", "off"] if symmetric else []
        options += ["--threads", str(threads), "--set-capacity", str(8 << TABLE_BITS[configuration])]
        build(directory, "rumur", *options, "model.m", "--output", "model.c")
        build(directory, CC, level, "-march=native", "-mcx16", "-w", "model.c", "-o", "verifier", "-lpthread")
        return ["./verifier"]

    return prepare


def tlc(jar: str, view: bool = False) -> Callable[[Path, str], list[str]]:
    def prepare(directory: Path, configuration: str) -> list[str]:
        for name in ("mirror_fault.tla", "mirror_fault_symmetric.tla"):
            shutil.copy(HERE / name, directory)
        settings = (HERE / f"mirror_fault_{configuration}.cfg").read_text()
        (directory / "settings.cfg").write_text(settings + ("VIEW View\n" if view else ""))
        java = ["java", "-XX:+UseParallelGC", "-Xmx12g", "-cp", jar, "tlc2.TLC"]
        options = ["-workers", "2", "-checkpoint", "0", "-config", "settings.cfg"]
        return [*java, *options, "mirror_fault_symmetric" if view else "mirror_fault"]

    return prepare


def harmony(program: str) -> Callable[[Path, str], list[str]]:
    def prepare(directory: Path, configuration: str) -> list[str]:
        shutil.copy(HERE / "mirror_fault.hny", directory)
        options = ["--noweb", "--quick", "-W", "-w", "2", "-c", f"CONFIG={CONFIG[configuration]}"]
        return [program, *options, "mirror_fault.hny"]

    return prepare


def reference(directory: Path, configuration: str) -> list[str]:
    return [sys.executable, str(HERE / "reference.py"), configuration]


def septum(reduce: str, threads: int) -> Callable[[Path, str], list[str]]:
    """septum on the same protocol, written in its language; start, translation and compilation count (see `run`).

    The other tools check asserts and deadlocks and nothing more, so septum is not asked either whether each step of the
    protocol is one that a machine could take at once (`--races`).
    """

    def prepare(directory: Path, configuration: str) -> list[str]:
        model = str(HERE.parents[1] / "examples" / "mirror_fault.py")
        options = ["--scenario", configuration, "--reduce", reduce, "--threads", str(threads), "--no-races", "--json"]
        return [sys.executable, "-m", "septum", "check", model, *options]

    return prepare


def installed(tla_jar: str | None, harmony_program: str | None) -> tuple[list[Tool], list[str]]:
    """The tools that can run here, and a line for each that cannot."""
    tools, absent = [], []
    plain = (r"states (\d+) ", r"transitions (\d+) ", r" violations 0 ")
    python = f"Python {platform.python_version()}"
    tools.append(Tool("reference.py", python, reference, *plain, largest="B", once=True))
    found = (r'"states": (\d+)', r'"transitions": (\d+)', r'"verdict": "holds"')
    tools.append(Tool("septum, 1 thread", python, septum("none", 1), *found))
    tools.append(Tool("septum, 2 threads", python, septum("none", 2), *found))
    tools.append(Tool("septum, reductions on", python, septum("all", 2), *found, counts="reduced"))
    if shutil.which(CC):
        version = output_of(CC, "-dumpfullversion")
        tools.append(Tool("by hand, 1 thread", f"{CC} {version}", by_hand(1), *plain))
        tools.append(Tool("by hand, 2 threads", f"{CC} {version}", by_hand(2), *plain))
    else:
        absent.append("by hand, SPIN, Rumur: no C compiler")
    if shutil.which("spin") and shutil.which(CC):
        version = output_of("spin", "-V").split("--")[0].replace("Spin Version", "").strip()
        found = (r"([\d.e+]+) states, stored", r"([\d.e+]+) transitions \(=", r"errors: 0\n")
        for name, counts, prepare in (
            ("SPIN DFS", "equal", spin("-DNOREDUCE")),
            ("SPIN DFS, collapse", "equal", spin("-DNOREDUCE", "-DCOLLAPSE")),
            ("SPIN DFS, 2 cores", "equal", spin("-DNOREDUCE", "-DNCORE=2", "-DVMAX=128")),
            ("SPIN BFS", "equal", spin("-DNOREDUCE", "-DBFS")),
            ("SPIN BFS, 2 cores", "equal", spin("-DNOREDUCE", "-DBFS_PAR", options=("-u2",))),
            ("SPIN DFS, partial order", "reduced", spin()),
            ("SPIN BFS, partial order", "reduced", spin("-DBFS")),
            ("SPIN BFS, partial order, 2 cores", "reduced", spin("-DBFS_PAR", options=("-u2",))),
            ("SPIN DFS, hash compact", "lossy", spin("-DNOREDUCE", "-DHC4")),
        ):
            tools.append(Tool(name, version, prepare, *found, counts=counts))
    else:
        absent.append("SPIN: no spin on PATH")
    if shutil.which("rumur") and shutil.which(CC):
        version = output_of("rumur", "--version").replace("Rumur version", "").strip()
        found = (r"\t(\d+) states, \d+ rules fired", r"\d+ states, (\d+) rules fired in", r"No error found")
        tools.append(Tool("Rumur, 1 thread", version, rumur(1), *found))
        tools.append(Tool("Rumur, 2 threads", version, rumur(2), *found))
        for name, prepare in (
            ("Rumur, symmetry, 1 thread", rumur(1, True)),
            ("Rumur, symmetry, 2 threads", rumur(2, True)),
            ("Rumur, symmetry, 2 threads, -O1", rumur(2, True, "-O1")),  # sooner, where the build counts
        ):
            tools.append(Tool(name, version, prepare, *found, counts="orbits"))
    else:
        absent.append("Rumur: no rumur on PATH")
    jar = tla_jar or os.environ.get("TLA2TOOLS")
    if jar and Path(jar).exists() and shutil.which("java"):
        version = re.search(r"Version (\S+)", output_of("java", "-cp", jar, "tlc2.TLC"))
        states = r"(\d+) distinct states found, 0 states left"
        found = (states, r"(\d+) states generated, \d+ distinct states found, 0 ", r"No error has been found")
        release = version[1] if version else "?"
        path = str(Path(jar).resolve())
        tools.append(Tool("TLC, 2 workers", release, tlc(path), *found))
        tools.append(Tool("TLC, view, 2 workers", release, tlc(path, view=True), *found, counts="orbits"))
    else:
        absent.append("TLC: no java, or no jar named by --tla-jar or TLA2TOOLS")
    program = shutil.which(harmony_program or "harmony")
    if program:
        version = output_of(program, "--version").split()[-1]
        found = (r"\* (\d+) states \(time", r"\d+/(\d+) computations/edges", r"No issues found")
        prepare = harmony(str(Path(program).absolute()))
        tools.append(Tool("Harmony, 2 workers", version, prepare, *found, counts="entry", largest="C"))
    else:
        absent.append("Harmony: no harmony on PATH and none named by --harmony")
    return tools, absent


def run(command: list[str], directory: Path, limit: float) -> tuple[float, int, str, bool]:
    """Wall seconds, peak resident KiB, output, and whether it ended within the limit.

    Where septum keeps compiled models there is nothing yet, at each run.
    """
    cold = os.environ | {"SEPTUM_CACHE": tempfile.mkdtemp(dir=directory)}
    with open(directory / "output", "w+", encoding="utf-8", errors="replace") as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=directory, env=cold, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        in_time = True
        while True:
            pid, _, usage = os.wait4(child.pid, os.WNOHANG)
            seconds = time.perf_counter() - began
            if pid:
                break
            if in_time and seconds > limit:
                in_time = False
                os.killpg(child.pid, signal.SIGKILL)
            time.sleep(min(0.001 + seconds / 500, 0.05))
        child.returncode = 0
        output.seek(0)
        return seconds, usage.ru_maxrss, output.read(), in_time


def number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(float(found[1])) if found else None


def measure(tools: list[Tool], configuration: str, runs: int, limit: float, scratch: Path) -> list[Result]:
    """Build every tool for one configuration, then let them take turns."""
    results = []
    for tool in tools:
        if tool.largest < configuration:
            results.append(Result(tool, configuration, [], 0.0, problem="too large for it"))
            continue
        directory = Path(tempfile.mkdtemp(dir=scratch))
        began = time.perf_counter()
        command = tool.prepare(directory, configuration)
        results.append(Result(tool, configuration, command, time.perf_counter() - began, directory))
    for turn in range(runs):
        for result in results:
            if result.problem or (turn and result.tool.once):
                continue
            seconds, resident, output, in_time = run(result.command, result.directory, limit)
            result.states = number(result.tool.states, output)
            result.generated = number(result.tool.generated, output)
            result.holds = result.holds and bool(re.search(result.tool.holds, output))
            if not in_time or result.states is None:
                result.problem = f"not done in {limit:.0f} s" if not in_time else f"failed: {output[-200:]!r}"
                result.states = None
                continue
            result.seconds.append(seconds)
            result.resident.append(resident)
    return results


def row(result: Result) -> dict[str, object]:
    """One line of the table, also what --json prints."""
    line: dict[str, object] = {
        "configuration": result.configuration,
        "tool": result.tool.name,
        "version": result.tool.version,
        "counts": result.agreement(),
        "states": result.states,
        "generated": result.generated,
        "build_seconds": round(result.build_seconds, 2),
    }
    if result.states is not None and result.seconds:
        median = statistics.median(result.seconds)
        line |= {
            "seconds": round(median, 3),
            "least": round(min(result.seconds), 3),
            "most": round(max(result.seconds), 3),
            "with_build": round(result.build_seconds + median, 3),
            "runs": len(result.seconds),
            "states_per_second": round(result.states / median),
            "generated_per_second": round((result.generated or 0) / median),
            "resident_mib": round(max(result.resident) / 1024),
        }
    return line


def table(lines: list[dict[str, object]]) -> str:
    head = ["", "tool", "version", "counts", "states", "generated", "seconds (least-most)", "with build"]
    head += ["states/s", "generated/s", "MiB"]
    rows = [head]
    for line in lines:
        cells = [line["configuration"], line["tool"], line["version"], line["counts"]]
        if line.get("seconds") is None:
            cells += ["-"] * 7
        else:
            spread = f"{line['seconds']:.3g} ({line['least']:.3g}-{line['most']:.3g})"
            cells += [f"{line['states']:,}", f"{line['generated']:,}", spread, f"{line['with_build']:.3g}"]
            cells += [f"{line[key]:,}" for key in ("states_per_second", "generated_per_second", "resident_mib")]
        rows.append([str(cell) for cell in cells])
    widths = [max(len(r[column]) for r in rows) for column in range(len(head))]
    aligned = [[c.rjust(w) if at > 3 else c.ljust(w) for at, (c, w) in enumerate(zip(r, widths, strict=True))] for r in rows]
    return "\n".join("  ".join(r).rstrip() for r in aligned)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure every installed checker on the benchmark protocol.")
    parser.add_argument("--configurations", default="ABC", help="which of A, B, C, D, as one word (default ABC)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each tool on each configuration (default 5)")
    parser.add_argument("--tool", action="append", help="only tools with this in their name; may be given again")
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run is stopped (default 600)")
    parser.add_argument("--tla-jar", help="tla2tools.jar (default: the variable TLA2TOOLS)")
    parser.add_argument("--harmony", help="the harmony program (default: from PATH)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args()
    if set(arguments.configurations) - set(CONFIG):
        parser.error("--configurations takes letters of ABCD")
    tools, absent = installed(arguments.tla_jar, arguments.harmony)
    if arguments.tool:
        tools = [tool for tool in tools if any(part.lower() in tool.name.lower() for part in arguments.tool)]
    load = os.getloadavg()[0]
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for configuration in arguments.configurations:
            for result in measure(tools, configuration, arguments.runs, arguments.limit, Path(scratch)):
                lines.append(row(result))
    if arguments.json:
        print(json.dumps({"cores": os.cpu_count(), "load_at_start": round(load, 2), "absent": absent, "rows": lines}, indent=2))
    else:
        print(f"{os.cpu_count()} cores, load {load:.2f} at the start")
        print(table(lines))
        for line in absent:
            print(f"left out - {line}")
    return int(any(str(line["counts"]).startswith(("WRONG", "failed")) for line in lines))


if __name__ == "__main__":
    sys.exit(main())
