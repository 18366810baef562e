"""A trace.dat says what its text says: to a reader of this file's own, and to trace-cmd."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess

import pytest

from benchmarks.trace_dat import convert
from septum.replay.replay import replay
from tests.replay import forms
from tests.replay.samples import SAMPLES, SMALL, file_of, text_of

ENTRY = "  a-1  [000] .....  1.000000: kvm_entry: vcpu 0, rip 0x8000"
NAME_OF_MARKERS = {"print": "tracing_mark_write"}
FIELD = re.compile(r"field:.*?(\w+)(?:\[\])?;\toffset:(\d+);\tsize:(\d+);\tsigned:([01])")
installed = pytest.mark.skipif(not shutil.which("trace-cmd"), reason="trace-cmd is not installed: only this file's reader reads")


class Reader:
    """The file, as trace-cmd.dat.v6(5) has it, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(kind)
        return value

    def word(self) -> str:
        end = self.data.index(b"\0", self.at)
        word, self.at = self.data[self.at : end].decode(), end + 1
        return word

    def sized(self, kind: str) -> str:
        size = self.number(kind)
        text, self.at = self.data[self.at : self.at + size].decode(), self.at + size
        return text

    def head(self) -> tuple[dict[int, tuple[str, list]], str, str, list[bytes]]:
        """The formats, kallsyms, the names of the tasks, and each CPU's pages."""
        assert self.data.startswith(b"\x17\x08\x44tracing6\0\0\x08\0\x10\0\0")
        self.at = 18
        for section in ("header_page", "header_event"):
            assert self.word() == section
            self.sized("Q")
        texts = [self.sized("Q") for _ in range(self.number("I"))]
        for _ in range(self.number("I")):
            assert self.word() in ("kvm", "kvmmmu")
            texts += [self.sized("Q") for _ in range(self.number("I"))]
        symbols, printk, tasks, cpus = self.sized("I"), self.sized("I"), self.sized("Q"), self.number("I")
        assert (printk, self.word(), self.number("H"), self.word()) == ("", "options  ", 0, "flyrecord")
        places = [(self.number("Q"), self.number("Q")) for _ in range(cpus)]
        assert all(begin % 4096 == size % 4096 == 0 for begin, size in places)
        assert sum(places[-1]) == len(self.data)
        return dict(map(format_of, texts)), symbols, tasks, [self.data[begin : begin + size] for begin, size in places]


def format_of(text: str) -> tuple[int, tuple[str, list]]:
    name, number = re.match(r"name: (\w+)\nID: (\d+)\nformat:\n", text).groups()
    return int(number), (name, [(found[1], *map(int, found.groups()[1:])) for found in FIELD.finditer(text)])


def records(pages: bytes):
    """(time in ns, record) of a CPU. Before a record are its words and the time since the last; 0 words: a length follows;
    30: more of the time, and no record."""
    for begin in range(0, len(pages), 4096):
        time, size = struct.unpack_from("<QQ", pages, begin)
        at, end = begin + 16, begin + 16 + size
        while at < end:
            word, first = struct.unpack_from("<II", pages, at)
            kind, delta = word & 31, word >> 5
            assert kind <= 28 or kind == 30
            time += delta + (first << 27 if kind == 30 else 0)
            start, length = (at + 4, 4 * kind) if kind else (at + 8, first - 4)
            if kind == 30:
                start, length = at + 8, 0
            else:
                yield time, pages[start : start + length]
            at = start + length


def events(data: bytes) -> list[tuple]:
    """(CPU, microseconds, PID, event, fields) in the order of time."""
    formats, _, _, cpus = Reader(data).head()
    found = []
    for cpu, pages in enumerate(cpus):
        for time, record in records(pages):
            name, fields = formats[int.from_bytes(record[:2], "little")]
            values = {
                field: int.from_bytes(record[at : at + size], "little", signed=bool(signed))
                for field, at, size, signed in fields
                if size
            }
            found.append((time, cpu, values["common_pid"], NAME_OF_MARKERS.get(name, name), values))
    found.sort(key=lambda one: one[0])
    return [(cpu, time // 1000, pid, name, values) for time, cpu, pid, name, values in found]


@pytest.fixture(scope="module", params=[SMALL, "6.12-dirty-1g"])
def sample(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("dat") / "trace.dat"
    convert(file_of(request.param), file)
    return text_of(request.param), file.read_bytes()


def test_every_line_is_a_record_at_its_place(sample):
    text, data = sample
    lines = [(int(cpu), int(seconds + micros), int(pid), name) for _, pid, cpu, _, seconds, micros, name, _ in forms.events(text)]
    assert [event[:4] for event in events(data)] == lines


@pytest.mark.parametrize(
    ("event", "line", "fields"),
    [
        ("kvm_tdp_mmu_spte_changed", r"gfn (\w+) level (\w+) old_spte (\w+) new_spte (\w+)", "gfn level old_spte new_spte"),
        ("kvm_mmu_spte_requested", r"gfn (\w+) pfn (\w+) level (\w+)", "gfn pfn level"),
        ("kvm_exit", r"info1 (\w+) info2 (\w+)", "info1 info2"),
        ("kvm_unmap_hva_range", r"range: (\w+) -- (\w+)", "start end"),
    ],
)
def test_the_fields_of_a_record_are_those_of_its_line(event, line, fields, sample):
    text, data = sample
    said = [[int(one, 16) for one in re.search(line, what).groups()] for *_, name, what in forms.events(text) if name == event]
    assert said
    assert [[values[field] for field in fields.split()] for *_, name, values in events(data) if name == event] == said


def test_a_page_has_the_role_of_the_kernel(sample):
    text, data = sample
    said = [re.search(r"gfn (\w+) l(\d)", line) for *_, name, line in forms.events(text) if name == "kvm_mmu_get_page"]
    pages = [values for *_, name, values in events(data) if name == "kvm_mmu_get_page"]
    assert [(page["gfn"], page["role"] & 15) for page in pages] == [(int(one[1], 16), int(one[2])) for one in said]
    assert {page["role"] >> 7 & 15 for page in pages} == {0b1111}, "direct, wux"


def test_tasks_have_their_names_and_markers_their_function(sample):
    text, data = sample
    _, symbols, tasks, _ = Reader(data).head()
    assert dict(line.split(" ") for line in tasks.splitlines()) == {pid: task for task, pid, *_ in forms.events(text)}
    marker = next(values for *_, name, values in events(data) if name == "tracing_mark_write")
    assert symbols == f"{marker['ip']:x} t tracing_mark_write\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CPU:3 [LOST 5 EVENTS]", "not an event"),
        (ENTRY.replace("kvm_entry", "kvm_age_hva"), "no format for kvm_age_hva: vcpu 0"),
        (f"{ENTRY.replace('.000000', '.000001')}\n{ENTRY}", "goes back at 1.000000"),
    ],
)
def test_what_no_ring_buffer_holds_is_refused(line, message, tmp_path):
    (tmp_path / "trace").write_text(f"{line}\n")
    with pytest.raises(SystemExit, match=message):
        convert(tmp_path / "trace", tmp_path / "trace.dat")


@installed
def test_trace_cmd_prints_the_lines_of_the_text(sample, tmp_path):
    text, data = sample
    file = tmp_path / "trace.dat"
    file.write_bytes(data)
    printed = subprocess.run(["trace-cmd", "report", "-N", "-i", file], capture_output=True, text=True, check=True).stdout
    line = re.compile(r" *(\S+)-(\d+) +\[(\d+)\] +(\d+)\.(\d+): (\w+): +(.*)")
    said = [line.fullmatch(one).groups() for one in printed.splitlines()[1:]]
    whole = [
        (task, pid, cpu, seconds, micros, *(("print", f"{name}: {what}") if name == "tracing_mark_write" else (name, what)))
        for task, pid, cpu, _, seconds, micros, name, what in forms.events(text)
    ]
    assert said == whole


@installed
@pytest.mark.parametrize("name", SAMPLES)
def test_through_trace_cmd_a_replay_finds_the_same(name, tmp_path):
    file = tmp_path / "trace.dat"
    convert(file_of(name), file)
    text, dat = replay(str(file_of(name))), replay(str(file))
    assert (dat.verdict, dat.followed, dat.steps, dat.rules, dat.samples) == (
        text.verdict, text.followed, text.steps, text.rules, text.samples,
    )  # fmt: skip
    assert (dat.reading.events, dat.reading.unreadable, dat.reading.losses) == (text.reading.events, 0, 0)
