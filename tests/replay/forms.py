"""The forms in which a trace comes, and what may have happened to it, made from the text of tracefs."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

LINE = re.compile(r"^ *(.+)-(\d+) +\[(\d+)\] (\S+) +(\d+)\.(\d+): (\w+): (.*)$")
HOST = {"kvm_page_fault", "kvm_exit", "kvm_entry", "kvm_unmap_hva_range", "kvm_age_hva", "kvm_test_age_hva", "kvm_mmio"}


def events(text: str) -> list[tuple[str, ...]]:
    """task, PID, CPU, flags, seconds, microseconds, event, fields of every line that is an event."""
    return [found.groups() for line in text.splitlines() if (found := LINE.match(line))]


def trace_pipe(text: str) -> str:
    """Without a header; some tasks have no name yet."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    nameless = [re.sub(r"^ *\S+-", "           <...>-", line) if i % 7 == 0 else line for i, line in enumerate(lines)]
    return "\n".join([*nameless, ""])


def with_tgid(text: str, of: Callable[[str], int] = lambda pid: 4711) -> str:
    """As tracefs prints it with options/record-tgid."""
    return re.sub(r"^( *.+-(\d+)) +\[", lambda found: f"{found[1]} ({of(found[2]):7}) [", text, flags=re.MULTILINE)


def trace_cmd(text: str) -> str:
    """As `trace-cmd report` prints it."""
    lines = [
        f"{task:>16}-{pid:<5} [{cpu}] {flags} {seconds:>6}.{micros}: {event + ': ':<22}{fields}"
        for task, pid, cpu, flags, seconds, micros, event, fields in events(text)
    ]
    return "\n".join(["cpus=6", *lines, ""])


def perf_script(text: str, tgid: int = 4711) -> str:
    """As `perf script` prints it, with nanoseconds."""
    lines = [
        f"{task:>16} {tgid}/{pid} [{cpu}] {seconds:>6}.{micros}000: {'kvm' if event in HOST else 'kvmmmu'}:{event}: {fields}"
        for task, pid, cpu, _, seconds, micros, event, fields in events(text)
        if event != "tracing_mark_write"
    ]
    return "\n".join([*lines, ""])


def shuffled(text: str, micros: int = 3000, seed: int = 1) -> str:
    """As `trace_pipe` gives it: CPU by CPU, in pieces of up to some time; the order of each CPU stays."""
    rng, out, piece, begin = random.Random(seed), [], [], None
    for line in (one for one in text.splitlines() if not one.startswith("#")):
        found = LINE.match(line)
        at = int(found[5]) * 1_000_000 + int(found[6])
        begin = at if begin is None else begin
        if at - begin > rng.randrange(1, micros):
            out += sorted(piece, key=lambda one: LINE.match(one)[3])
            piece, begin = [], at
        piece.append(line)
    return "\n".join([*out, *sorted(piece, key=lambda one: LINE.match(one)[3]), ""])


def lost(text: str, begin: int, end: int) -> str:
    """The lines from `begin` to `end` were lost, and the tracer says so."""
    lines = text.splitlines()
    return "\n".join([*lines[:begin], f"CPU:3 [LOST {end - begin} EVENTS]", *lines[end:], ""])


def wrapped(text: str, count: int) -> str:
    """A buffer that kept the last `count` events: its header has the numbers."""
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("#")]
    kept = [line for line in lines if not line.startswith("#")]
    head = [re.sub(r"entries-written: \d+/\d+", f"entries-written: {count}/{len(kept)}", line) for line in head]
    return "\n".join([*head, *kept[-count:], ""])


def another_vm(text: str) -> str:
    """The same VM again, by other tasks on other CPUs, a little later."""
    return re.sub(
        r"^( *)(.+)-(\d+)( +)\[(\d+)\]", lambda found: f"{found[1]}{found[2]}-{int(found[3]) + 50000} [{int(found[5]) + 8:03}]",
        text, flags=re.MULTILINE,
    )  # fmt: skip


def merged(*texts: str) -> str:
    """The events of several traces by time."""
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    return "\n".join([*sorted(lines, key=lambda line: LINE.match(line).group(5, 6)), ""])
