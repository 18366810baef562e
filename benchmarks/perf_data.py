"""A perf.data from the text of a trace: the file that `perf record -a` would have written of the same events.

    .venv/bin/python benchmarks/perf_data.py TRACE PERF.DATA

TRACE is as for trace_dat.py, which has the formats and the records of the events. Markers are left out, as perf has none; a line
`CPU:1 [LOST 17 EVENTS]` becomes a PERF_RECORD_LOST. See perf_event_open(2), and perf.data-file-format.txt of the kernel's tools.
"""

from __future__ import annotations

import re
import struct
import sys
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.trace_dat import PACKED, TraceDat

TGID = 4711  # all threads are of one process
TRACEPOINT, TRACING_DATA = 2, 1  # PERF_TYPE_TRACEPOINT, HEADER_TRACING_DATA
LOST, COMM, SAMPLE, FINISHED_ROUND = 2, 3, 9, 68  # PERF_RECORD_
IP, TID, TIME, CPU, RAW, IDENTIFIER = 1 << 0, 1 << 1, 1 << 2, 1 << 7, 1 << 10, 1 << 16  # PERF_SAMPLE_
SAMPLED = IP | TID | TIME | CPU | RAW | IDENTIFIER
SAMPLE_ID_ALL = 1 << 18  # of the flags of a perf_event_attr
KERNEL, USER = 1, 2  # PERF_RECORD_MISC_CPUMODE_
ANY_KERNEL_ADDRESS = 0xFFFFFFFF81000000
HEAD_SIZE, ATTR_SIZE, SECTION_SIZE = 104, 112, 16
ROUND = 1 << 12
LOSS = re.compile(r"CPU:(\d+) \[LOST (\d+) EVENTS\]")


def record(kind: int, mode: int, body: bytes) -> bytes:
    return struct.pack("<IHH", kind, mode, 8 + len(body)) + body


def section(at: int, size: int) -> bytes:
    return struct.pack("<QQ", at, size)


class PerfData:
    """The records of a trace, and the file that holds them."""

    def __init__(self) -> None:
        self.events = TraceDat()
        self.records: list[bytes] = []
        self.named: set[int] = set()
        self.time = self.number = 0

    def add(self, line: str) -> None:
        if found := LOSS.fullmatch(line):
            body = struct.pack("<QQ", self.number, int(found[2]))
            self.records.append(record(LOST, KERNEL, body + self.identity(0, int(found[1]))))
        elif ": tracing_mark_write: " not in line:
            self.sample(*self.events.event(line))

    def sample(self, cpu: int, pid: int, time: int, event: bytes) -> None:
        self.time, self.number = time, int.from_bytes(event[:2], "little")
        if pid not in self.named:
            self.named.add(pid)
            name = self.events.tasks[pid].encode()
            body = struct.pack("<II", TGID, pid) + name + bytes(8 - len(name) % 8)
            self.records.append(record(COMM, USER, body + self.identity(pid, cpu)))
        raw = event + bytes(-(len(event) + 4) % 8)
        body = struct.pack("<QQIIQIII", self.number, ANY_KERNEL_ADDRESS, TGID, pid, time, cpu, 0, len(raw)) + raw
        self.records.append(record(SAMPLE, KERNEL, body))
        if len(self.records) % ROUND == 0:
            self.records.append(record(FINISHED_ROUND, 0, b""))

    def identity(self, pid: int, cpu: int) -> bytes:
        """What ends a record that is no sample."""
        return struct.pack("<IIQIIQ", TGID if pid else 0, pid, self.time, cpu, 0, self.number)

    def write(self, path: Path) -> None:
        numbers = [one.number for one in chain(*self.events.formats.values()) if one.used]
        attrs_at = HEAD_SIZE + 8 * len(numbers)
        data_at = attrs_at + (ATTR_SIZE + SECTION_SIZE) * len(numbers)
        size = sum(map(len, self.records))
        features = self.events.head(b"0.6")
        with path.open("wb") as file:
            file.write(b"PERFILE2" + struct.pack("<QQ", HEAD_SIZE, ATTR_SIZE + SECTION_SIZE))
            file.write(section(attrs_at, data_at - attrs_at) + section(data_at, size) + section(0, 0))
            file.write((1 << TRACING_DATA).to_bytes(32, "little") + struct.pack(f"<{len(numbers)}Q", *numbers))
            for place, number in enumerate(numbers):
                file.write(self.attr(number) + section(HEAD_SIZE + 8 * place, 8))
            file.writelines(self.records)
            file.write(section(data_at + size + SECTION_SIZE, len(features)) + features)

    def attr(self, number: int) -> bytes:
        """The perf_event_attr of an event: each is sampled, whole."""
        return struct.pack("<IIQQQQQ", TRACEPOINT, ATTR_SIZE, number, 1, SAMPLED, 0, SAMPLE_ID_ALL).ljust(ATTR_SIZE, b"\0")


def convert(text: Path, data: Path) -> None:
    perf = PerfData()
    with PACKED.get(text.suffix, open)(text, "rt") as file:
        for line in file:
            if not line.startswith("#"):
                perf.add(line.rstrip("\n"))
    perf.write(data)


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:]))
