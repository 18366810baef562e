"""A trace.dat from the text of a trace: the file that `trace-cmd record` would have written of the same events.

    .venv/bin/python benchmarks/trace_dat.py TRACE TRACE.DAT

TRACE is the text of tracefs, plain or packed (gz, xz), of the events in FORMATS. The file is of version 6: the formats of the
events as text, the names of the tasks, and each CPU's pages of the kernel's ring buffer; see trace-cmd.dat.v6(5).
"""

from __future__ import annotations

import functools
import gzip
import itertools
import lzma
import re
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

PAGE = 4096
MARKER = 5  # the kernel's number of its event `print`
TRACING_MARK_WRITE = 0xFFFFFFFF81000000  # any address, if kallsyms says the same

# {field:type:as}: a field of that struct type, printed by that conversion or as one of WORDS; `role@8+3` is 3 bits from bit 8 on.


def page(rights: str, width: int) -> str:
    """A page of page tables: its role has three bits for its rights, or four as kernel 7.3 prints them."""
    after = 8 + width
    return (
        "sp gen {mmu_valid_gen:B:u} gfn {gfn:Q:llx} l{role@0+4:I:u} {role@4+1:I:gpte}-byte q{role@5+2:I:u}{role@7+1:I:direct}"
        f" {{role@8+{width}:I:{rights}}}{{role@{after}+1:I:invalid}} {{role@{after + 1}+1:I:no}}nxe"
        f" {{role@{after + 5}+1:I:not}}ad root {{root_count:I:u}} {{unsync:B:sync}}"
    )


PAGE_HEADER = "".join(
    f"\tfield: {name};\toffset:{offset};\tsize:{size};\tsigned:1;\n"
    for name, offset, size in (("u64 timestamp", 0, 8), ("local_t commit", 8, 8), ("char data", 16, PAGE - 16))
)

PAGES = (page("wux", 3), page("rwux", 4))
EXIT = (
    "vcpu {vcpu_id:I:u} reason {isa:I:svm}{exit_reason:I:reason} rip 0x{guest_rip:Q:llx} info1 0x{info1:Q:016llx}"
    " info2 0x{info2:Q:016llx} intr_info 0x{intr_info:I:08x} error_code 0x{error_code:I:08x}"
)
ENTRY = "vcpu {vcpu_id:I:u}, rip 0x{rip:Q:llx}{immediate_exit:B:immediate}"
REQUESTED = "gfn {gfn:Q:llx} pfn {pfn:Q:llx} level {level:B:d}"
SPTE = "gfn {gfn:Q:llx} spte {spte:Q:llx}"

FORMATS = (
    ("kvmmmu", "kvm_tdp_mmu_spte_changed",
     "as id {as_id:B:d} gfn {gfn:Q:llx} level {level:B:d} old_spte {old_spte:Q:llx} new_spte {new_spte:Q:llx}"),
    ("kvmmmu", "kvm_mmu_spte_requested", REQUESTED),
    ("kvmmmu", "kvm_mmu_spte_requested", REQUESTED + " access {access:B:x}"),
    ("kvmmmu", "kvm_mmu_set_spte", SPTE + " ({r:B:r?}{w:B:w?}{x:B:x?}{u:B:u?}) level {level:B:d} at {sptep:Q:llx}"),
    ("kvmmmu", "kvm_mmu_split_huge_page", SPTE + " level {level:i:d} errno {errno:i:d}"),
    *(("kvmmmu", "kvm_mmu_get_page", text + " {created:B:created}") for text in PAGES),
    *(("kvmmmu", "kvm_mmu_prepare_zap_page", text) for text in PAGES),
    ("kvmmmu", "fast_page_fault",
     "vcpu {vcpu_id:i:d} gva {cr2_or_gpa:Q:llx} error_code {error_code:Q:flags} sptep {sptep:Q:016llx}"
     " old {old_spte:Q:#llx} new {new_spte:Q:llx} spurious {spurious:B:d} fixed {fixed:B:d}"),
    ("kvm", "kvm_page_fault",
     "vcpu {vcpu_id:I:u} rip 0x{guest_rip:Q:llx} address 0x{fault_address:Q:016llx} error_code 0x{error_code:Q:llx}"),
    ("kvm", "kvm_exit", EXIT),
    ("kvm", "kvm_exit", EXIT + " requests 0x{requests:Q:016llx}"),
    ("kvm", "kvm_entry", ENTRY),
    ("kvm", "kvm_entry", ENTRY.replace("{imm", " intr_info 0x{intr_info:I:08x} error_code 0x{error_code:I:08x}{imm")),
    ("kvm", "kvm_unmap_hva_range", "mmu notifier unmap range: {start:Q:#016llx} -- {end:Q:#016llx}"),
    ("kvm", "kvm_set_spte_hva", "mmu notifier set pte hva: {hva:Q:#016llx}"),
)  # fmt: skip
FLAGS = {1: "P", 2: "W", 4: "U", 8: "RSVD", 16: "F"}


def choices(*words: str) -> dict[int, str]:
    return dict(enumerate(words))


WORDS = {
    "gpte": choices("8", "4"), "direct": choices("", " direct"), "invalid": choices("", " invalid"),
    "no": choices("!", ""), "not": choices("", "!"), "sync": choices("sync", "unsync"), "created": choices("existing", "new"),
    "wux": choices("---", "--x", "w--", "w-x", "-u-", "-ux", "wu-", "wux"),
    "rwux": choices(*("".join(c if n >> i & 1 else "-" for i, c in enumerate("rwux")) for n in range(16))),
    "r?": choices("-", "r"), "w?": choices("-", "w"), "x?": choices("-", "x"), "u?": {1: "u", 0: "-", 255: ""},
    "svm": {2: ""}, "reason": {0x60: "interrupt", 0x7B: "io", 0x400: "npf"}, "immediate": choices("", "[immediate exit]"),
}  # fmt: skip

PACKED: dict[str, Callable[..., IO[str]]] = {".gz": gzip.open, ".xz": lzma.open}
PLACE = re.compile(r"\{(\w+)(?:@(\d+)\+(\d+))?:(\w):([^}]+)\}")
LINE = re.compile(r" *(.+)-(\d+) +\[(\d+)\] (\S+) +(\d+)\.(\d{6}): (\w+): (.*)")
C_TYPES = {"B": "unsigned char", "H": "unsigned short", "i": "int", "I": "unsigned int", "Q": "unsigned long long"}
COMMON = (("common_type", "H"), ("common_flags", "B"), ("common_preempt_count", "B"), ("common_pid", "i"))
IRQS_OFF, LAZY, RESCHED, HARDIRQ, SOFTIRQ, PREEMPT, NMI, BH_OFF = (1 << bit for bit in range(8))
STATES = (
    {".": 0, "d": IRQS_OFF, "b": BH_OFF, "D": IRQS_OFF | BH_OFF},
    {".": 0, "n": RESCHED, "p": PREEMPT, "N": RESCHED | PREEMPT, "l": LAZY, "b": RESCHED | LAZY, "L": PREEMPT | LAZY,
     "B": RESCHED | PREEMPT | LAZY},
    {".": 0, "h": HARDIRQ, "s": SOFTIRQ, "H": HARDIRQ | SOFTIRQ, "z": NMI, "Z": NMI | HARDIRQ},
)  # fmt: skip


def declared(fields: Iterable[tuple[str, str]], offset: int) -> str:
    lines = []
    for name, kind in fields:
        size = struct.calcsize(kind)
        lines.append(f"\tfield:{C_TYPES[kind]} {name};\toffset:{offset};\tsize:{size};\tsigned:{int(kind == 'i')};\n")
        offset += size
    return "".join(lines)


def format_file(name: str, number: int, fields: str, printed: str) -> str:
    return f"name: {name}\nID: {number}\nformat:\n{declared(COMMON, 0)}\n{fields}\nprint fmt: {printed}\n"


def marker_format() -> str:
    """Of the event that a program's writes into trace_marker become."""
    fields = declared([("ip", "Q")], 8) + "\tfield:char buf[];\toffset:16;\tsize:0;\tsigned:1;\n"
    return format_file("print", MARKER, fields, '"%ps: %s", (void *)REC->ip, REC->buf')


def flags_value(text: str) -> int:
    named = {name: bit for bit, name in FLAGS.items()}
    return sum(named[part] if part in named else int(part, 16) for part in text.split("|"))


class Way:
    """How a field is printed, and read again."""

    def __init__(self, how: str) -> None:
        self.conversion, self.table = "%s", FLAGS if how == "flags" else WORDS.get(how)
        self.read: Callable[[str], int]
        if how == "flags":
            self.pattern, self.read = r"(\S+)", flags_value
        elif self.table is not None:
            self.pattern = "(" + "|".join(map(re.escape, self.table.values())) + ")"
            self.read = {word: value for value, word in self.table.items()}.__getitem__
        else:
            self.conversion = f"%{how}"
            self.pattern = r"(-?\d+)" if how in ("d", "u") else "0x([0-9a-f]+)" if how[0] == "#" else "([0-9a-f]+)"
            self.read = int if how in ("d", "u") else lambda text: int(text, 16)

    def argument(self, value: str) -> str:
        if self.table is None:
            return value
        pairs = ", ".join(f'{{ {number}, "{word}" }}' for number, word in self.table.items())
        return f'__print_flags({value}, "|", {pairs})' if self.table is FLAGS else f"__print_symbolic({value}, {pairs})"


class Format:
    """The format of an event: what its line says, and what its record holds."""

    def __init__(self, number: int, system: str, name: str, text: str) -> None:
        self.number, self.system, self.name, self.used = number, system, name, False
        kinds = {found[1]: found[4] for found in PLACE.finditer(text)}
        self.fields = sorted(kinds.items(), key=lambda field: -struct.calcsize(field[1]))  # the largest first: no padding
        self.record = struct.Struct("<HBBi" + "".join(kind for _, kind in self.fields))
        self.readers: list[tuple[int, int, Callable[[str], int]]] = []
        self.arguments: list[str] = []
        pattern, self.printed, end = "", "", 0
        for found in PLACE.finditer(text):
            name_of, shift, width, kind, how = found.groups()
            way, between = Way(how), text[end : found.start()]
            pattern += re.escape(between) + way.pattern
            self.printed += between + way.conversion
            end = found.end()
            self.readers.append((self.fields.index((name_of, kind)), int(shift or 0), way.read))
            bits = f"((REC->{name_of} >> {shift}) & {(1 << int(width)) - 1})" if width else f"REC->{name_of}"
            self.arguments.append(way.argument(bits))
        self.line, self.printed = re.compile(pattern + re.escape(text[end:])), self.printed + text[end:]

    def packed(self, common: tuple[int, int, int], said: str) -> bytes | None:
        """The record of a line, or None if the line is not of this format."""
        found = self.line.fullmatch(said)
        if not found:
            return None
        self.used = True
        values = [0] * len(self.fields)
        for (at, shift, read), text in zip(self.readers, found.groups(), strict=True):
            values[at] |= read(text) << shift
        return self.record.pack(self.number, *common, *values)

    def file(self) -> str:
        """As the kernel's file `format` has it."""
        return format_file(self.name, self.number, declared(self.fields, 8), ", ".join([f'"{self.printed}"', *self.arguments]))


class Ring:
    """A CPU's pages: the time of the first record and the size of all, then the records, each with the time since the last."""

    def __init__(self) -> None:
        self.pages = bytearray()
        self.page = bytearray()
        self.begin = self.time = 0

    def add(self, time: int, record: bytes) -> None:
        if time < self.time:
            raise SystemExit(f"the time of a CPU goes back at {time / 1e9:.6f}")
        record += bytes(-len(record) % 4)
        words = len(record) // 4
        head = b"" if words <= 28 else struct.pack("<I", len(record) + 4)
        if len(self.page) + 8 + 4 + len(head) + len(record) > PAGE - 16:
            self.close()
        if not self.page:
            self.begin = self.time = time
        delta, self.time = time - self.time, time
        if delta >> 27:
            self.page += struct.pack("<II", 30 | (delta & (1 << 27) - 1) << 5, delta >> 27)
            delta = 0
        self.page += struct.pack("<I", (0 if head else words) | delta << 5) + head + record

    def close(self) -> None:
        """The page is full, or the trace ends."""
        if self.page:
            self.pages += struct.pack("<QQ", self.begin, len(self.page)) + self.page.ljust(PAGE - 16, b"\0")
            self.page.clear()


class TraceDat:
    """The events of a trace, and the file that holds them."""

    def __init__(self) -> None:
        self.formats: dict[str, list[Format]] = defaultdict(list)
        for number, one in enumerate(FORMATS, 1000):
            self.formats[one[1]].append(Format(number, *one))
        self.rings: dict[int, Ring] = defaultdict(Ring)
        self.tasks: dict[int, str] = {}
        self.time = self.later = 0

    def add(self, line: str) -> None:
        """An event into the ring of its CPU."""
        cpu, _, time, record = self.event(line)
        self.rings[cpu].add(time, record)

    def event(self, line: str) -> tuple[int, int, int, bytes]:
        """CPU, PID, time in nanoseconds and record of a line."""
        found = LINE.fullmatch(line)
        if not found:
            raise SystemExit(f"not an event: {line}")
        task, pid, cpu, state, seconds, micros, name, said = found.groups()
        time = int(seconds) * 1_000_000_000 + int(micros) * 1000
        self.later, self.time = (self.later + 1 if time == self.time else 0), time  # in nanoseconds events have an order
        self.tasks[int(pid)] = task
        return int(cpu), int(pid), time + self.later, self.record(name, (*state_of(state), int(pid)), said)

    def record(self, name: str, common: tuple[int, int, int], said: str) -> bytes:
        if name == "tracing_mark_write":
            return struct.pack("<HBBiQ", MARKER, *common, TRACING_MARK_WRITE) + said.encode() + b"\0"
        for one in self.formats.get(name, ()):
            if record := one.packed(common, said):
                return record
        raise SystemExit(f"no format for {name}: {said}")

    def write(self, path: Path) -> None:
        for ring in self.rings.values():
            ring.close()
        cpus = [self.rings[cpu].pages for cpu in range(max(self.rings, default=0) + 1)]
        head = self.head(b"6") + struct.pack("<I", len(cpus)) + b"options  \0" + struct.pack("<H", 0) + b"flyrecord\0"
        at = -(-(len(head) + 16 * len(cpus)) // PAGE) * PAGE
        with path.open("wb") as file:
            file.write(head)
            for pages in cpus:
                file.write(struct.pack("<QQ", at, len(pages)))
                at += len(pages)
            file.write(bytes(-file.tell() % PAGE))
            file.writelines(cpus)

    def head(self, version: bytes) -> bytes:
        """The formats of the events and the names of the tasks; a perf.data has the same of another version."""
        systems: dict[str, list[bytes]] = defaultdict(list)
        for one in itertools.chain(*self.formats.values()):
            if one.used:
                systems[one.system].append(sized(one.file()))
        events = [name.encode() + struct.pack("<xI", len(of)) + b"".join(of) for name, of in systems.items()]
        return b"".join([
            b"\x17\x08\x44tracing", version, b"\0", struct.pack("<BBI", 0, 8, PAGE),
            b"header_page\0", sized(PAGE_HEADER), b"header_event\0", sized(""),
            struct.pack("<I", 1), sized(marker_format()), struct.pack("<I", len(events)), *events,
            sized(f"{TRACING_MARK_WRITE:x} t tracing_mark_write\n", "<I"), sized("", "<I"),
            sized("".join(f"{pid} {task}\n" for pid, task in sorted(self.tasks.items()))),
        ])  # fmt: skip


@functools.cache
def state_of(text: str) -> tuple[int, int]:
    """The flags of a record, and its depths of preempt_disable() and migrate_disable()."""
    preempt, migrate = (int(digit.replace(".", "0"), 16) for digit in text[3:])
    return sum(of[letter] for of, letter in zip(STATES, text, strict=False)), preempt | migrate << 4


def sized(text: str, size: str = "<Q") -> bytes:
    return struct.pack(size, len(text.encode())) + text.encode()


def convert(text: Path, dat: Path) -> None:
    trace = TraceDat()
    with PACKED.get(text.suffix, open)(text, "rt") as file:
        for line in file:
            if not line.startswith("#"):
                trace.add(line.rstrip("\n"))
    trace.write(dat)


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:]))
