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


PAGE = re.compile(r"sp gen 0 (gfn (\w+)) l(\d) 8-byte (q0 direct r?wux) nxe ad (root 0 sync)(?: (new))?$", re.MULTILINE)


def _fields(found: re.Match[str]) -> str:
    role = int(found[3]) | 1 << 7 | 7 << 8 | 1 << 12
    created = " created=1" if found[6] else ""
    return f"[FAILED TO PARSE] mmu_valid_gen=0 gfn={int(found[2], 16)} role={role} root_count=0 unsync=0{created}"


def trace_cmd_without_plugins(text: str) -> str:
    """As `trace-cmd report -N` prints it: of the page events only the fields."""
    return trace_cmd(PAGE.sub(_fields, text))


def trace_cmd_with_plugins(text: str) -> str:
    """As `trace-cmd report` prints it with its plugin for KVM: of a page that is zapped without the GFN."""

    def of_plugin(found: re.Match[str]) -> str:
        return f"{f'new sp {found[1]} ' if found[6] else ''}{found[3]} {found[4]} !pae nxe !wp {found[5]} "

    return trace_cmd(PAGE.sub(of_plugin, text)).replace("reason npf", "reason EXIT_NPF")


def perf_script(text: str, tgid: str = "4711/") -> str:
    """As `perf script -F comm,pid,tid,cpu,time,event,trace` prints it, with nanoseconds."""
    lines = [
        f"{task:>16} {tgid}{pid} [{cpu}] {seconds:>6}.{micros}000: {'kvm' if event in HOST else 'kvmmmu'}:{event}: {fields}"
        for task, pid, cpu, _, seconds, micros, event, fields in events(text)
        if event != "tracing_mark_write"
    ]
    return "\n".join([*lines, ""])


def perf_script_of_tids(text: str) -> str:
    """As `perf script` prints it, without thread groups."""
    return perf_script(text, "")


def perf_script_with_mode(text: str) -> str:
    """As `perf script -F +misc` prints it: the mode of the CPU behind its number."""
    return perf_script(text).replace("] ", "] K     ")


def perf_script_of_periods(text: str) -> str:
    """As `perf script -F comm,tid,time,period,event,trace` prints it: no CPU, and a number before the event."""
    return re.sub(r" \[\d+\] +([\d.]+:)", r" \1          1", perf_script(text, ""))


def perf_script_of_addresses(text: str) -> str:
    """As `perf script -F +ip,+sym` prints it."""
    return re.sub(r"$", " ffffffff81000000 [unknown]", perf_script(text).rstrip(), flags=re.MULTILINE)


def perf_script_without_fields(text: str) -> str:
    """As `perf script -F comm,tid,cpu,time,event` prints it."""
    return re.sub(r"(kvm(?:mmu)?:\w+:) .*", r"\1 ", perf_script(text))


def perf_script_of_differences(text: str) -> str:
    """As `perf script --deltatime` prints it: the time since the event before."""
    lines, before = [], 0
    for line in perf_script(text, "").splitlines():
        found = re.search(r"(\d+)\.(\d{9}):", line)
        time = int(found[1] + found[2])
        lines.append(line.replace(found[0], f"0.{time - before if before else 0:09}:"))
        before = time
    return "\n".join([*lines, ""])


FRAMES = (" => trace_event_raw_event_kvm_tdp_mmu_spte_changed", " => kvm_tdp_mmu_map", " => do_syscall_64")


def with_stacks(text: str) -> str:
    """As tracefs prints it with options/stacktrace."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if found := LINE.match(line):
            lines += [line[: found.start(7)] + "<stack trace>", *FRAMES]
    return "\n".join([*lines, ""])


def perf_script_with_chains(text: str) -> str:
    """As `perf script` prints what was recorded with -g."""
    frames = "\tffffffffc0946d94 kvm_tdp_mmu_map+0x12 ([kvm])\n\tffffffffc0962eaf [unknown] ([kvm])\n"
    return "".join(f"{line.lstrip()}\n{frames}\n" for line in perf_script(text).splitlines())


def trace_cmd_with_stacks(text: str) -> str:
    """As `trace-cmd report` prints what was recorded with -T: the first frame on a line of its own."""
    lines = []
    for line in trace_cmd(text).splitlines():
        lines.append(line)
        if found := LINE.match(line):
            lines += [
                line[: found.start(7)] + "kernel_stack:         \t=> trace_event_raw_event_kvm_mmu_get_page",
                "\t=> do_syscall_64",
            ]
    return "\n".join([*lines, ""])


def of_buffer(text: str) -> str:
    """As `trace-cmd report` prints what was recorded with `-B vm`."""
    return re.sub(r"^(?!cpus)", "  vm:", trace_cmd(text).rstrip("\n"), flags=re.MULTILINE) + "\n"


def without_flags(text: str) -> str:
    """As tracefs prints it without options/irq-info."""
    return re.sub(r"(\[\d+\]) [.\w#]{5} ", r"\1  ", text)


def preempt_rt(text: str) -> str:
    """As PREEMPT_RT flags what is done under mmu_lock."""
    return text.replace(" ...1. ", " ....1 ")


def verbose(text: str) -> str:
    """As tracefs prints it with options/latency-format and options/verbose."""
    lines = [
        f"{task:>8} {pid:>7} {int(cpu):>3} 0 00000001 {n:08x} [{n:08x}] 89.976ms (+0.020ms): {event}: {fields}"
        for n, (task, pid, cpu, _, _, _, event, fields) in enumerate(events(text))
    ]
    return "\n".join([*lines, ""])


def latency(text: str) -> str:
    """As `trace-cmd report -l` prints it."""
    lines = [
        f"{task:>8}-{pid:<5} {int(cpu):>3}{flags} {seconds:>5}.{micros}: {event + ': ':<22}{fields}"
        for task, pid, cpu, flags, seconds, micros, event, fields in events(text)
    ]
    return "\n".join(["cpus=6", *lines, ""])


def boot_clock(text: str) -> str:
    """As trace-cmd report prints a clock of nanoseconds: flags and time run together."""
    lines = [
        f"{task:>16}-{pid:<5} [{cpu}] {flags}{int(seconds + micros) * 1000:>12}: {event + ': ':<22}{fields}"
        for task, pid, cpu, flags, seconds, micros, event, fields in events(text)
    ]
    return "\n".join(["cpus=6", *lines, ""])


def differences(text: str) -> str:
    """As `trace-cmd report --ts-diff` prints it."""
    lines = [
        f"{task:>16}-{pid:<5} [{cpu}] {flags} {seconds:>6}.{micros}: (+7)     {event + ': ':<22}{fields}"
        for task, pid, cpu, flags, seconds, micros, event, fields in events(text)
    ]
    return "\n".join(["cpus=6", *lines, ""])


RAW = {
    "kvm_tdp_mmu_spte_changed": (r"as id (\d+) gfn (\w+) level (\d) old_spte (\w+) new_spte (\w+)",
                                 " gfn={1} old_spte={3} new_spte={4} level={2} as_id={0}"),
    "kvm_mmu_spte_requested": (r"gfn (\w+) pfn (\w+) level (\d)(?: access (\w+))?", " gfn={0} pfn={1} level={2}"),
    "kvm_mmu_set_spte": (r"gfn (\w+) spte (\w+) \(\S+\) level (\d) at (\w+)",
                         " gfn={0} spte={1} sptep={3} level={2} r=1 x=1 u=1"),
    "kvm_mmu_split_huge_page": (r"gfn (\w+) spte (\w+) level (\d) errno (-?\d+)", " gfn={0} spte={1} level={2} errno={3}"),
    "kvm_page_fault": (r"vcpu (\d+) rip (\w+) address (\w+) error_code (\w+)",
                       " vcpu_id={0} guest_rip={1} fault_address={2} error_code={3}"),
}  # fmt: skip


def raw(text: str) -> str:
    """As `trace-cmd report -R` prints it: the fields of each event, in hexadecimal without 0x."""
    lines = []
    for task, pid, cpu, _, seconds, micros, event, fields in events(text):
        pattern, form = RAW.get(event, ("", ""))
        found = re.match(pattern, PAGE.sub(_fields, fields)) if pattern else None
        fields = form.format(*found.groups()) if found else PAGE.sub(_fields, fields).replace("[FAILED TO PARSE]", "")
        lines.append(f"{task:>16}-{pid:<5} [{cpu}]-0x0 {seconds:>6}.{micros}: {event + ': ':<22}{fields}")
    return "\n".join(["cpus=6", *lines, ""])


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


VALUE = re.compile(r"((?:old_|new_)?spte |old 0x|new )([0-9a-f]+)")
BITS = ((1, 1), (5, 8), (6, 9), (7, 7), (9, 57), (10, 58), (11, 11))
BITS_7_2 = ((1, 1), (5, 8), (6, 9), (7, 7), (9, 53), (10, 55), (11, 11))
NX, EXECUTE, EXECUTE_7_2 = 1 << 63, 1 << 2, 1 << 2 | 1 << 10


def ept(text: str, always: int, *, ad: bool = True, nonpresent: int = 1 << 63, modern: bool = False) -> str:
    """The same trace of a kernel that uses EPT, from 7.2 on if `modern`; `always` are bits of each present entry but R and X."""
    bits, execute = (BITS_7_2, EXECUTE_7_2) if modern else (BITS, EXECUTE)

    def value(found: re.Match[str]) -> str:
        old = int(found[2], 16)
        if not old & 1 << 11:
            return f"{found[1]}{old & ~(1 << 63) | nonpresent:x}"
        new = sum(1 << to for bit, to in bits if old >> bit & 1 and (ad or bit not in (5, 6)))
        table = not old & 1 << 9 and not old & 1 << 7 and old & 0xFFF == 0x827
        accessed = 1 << 8 if table and ad else 0
        rights = 1 | (0 if old & NX else execute) | (0 if table else 0x30)
        return f"{found[1]}{new | accessed | old & 0xFFFFFFFFFF000 | always | rights:x}"

    changed = re.sub(
        r"^.*(?:kvm_mmu_s|spte_changed|fast_page).*$", lambda line: VALUE.sub(value, line[0]), text, flags=re.MULTILINE
    )
    return re.sub(r"^.*old_spte (\w+) new_spte \1\n", "", changed, flags=re.MULTILINE)


def five_levels(text: str) -> str:
    """The same trace of a VM whose root is at level 5."""
    lines = text.splitlines()
    root = next(n for n, line in enumerate(lines) if "kvm_mmu_get_page" in line)
    first = next(n for n, line in enumerate(lines) if "kvm_mmu_spte_requested" in line)
    begin = lines[first].partition("kvm_mmu_spte_requested")[0]
    page = f"{begin}kvm_mmu_get_page: sp gen 0 gfn 0 l4 8-byte q0 direct wux nxe ad root 0 sync new"
    link = f"{begin}kvm_tdp_mmu_spte_changed: as id 0 gfn 0 level 5 old_spte 8000000000000000 new_spte 7ffff827"
    lines[root] = lines[root].replace(" l4 ", " l5 ")
    return "\n".join([*lines[: first + 1], page, link, *lines[first + 1 :], ""])


def recovered(text: str) -> str:
    """The same trace of a kernel that makes a table a huge leaf in one event when logging ends."""
    lines, pages = [], {}
    for line in text.splitlines():
        found = re.search(r"gfn (\w+) level [23] old_spte (\w+) new_spte (\w+)$", line)
        if found and int(found[2], 16) & 0x880 == 0x880:
            pages[found[1]] = int(found[2], 16)
        if found and found[3] == "8000000000000000" and found[1] in pages and int(found[2], 16) & 0x880 == 0x800:
            line = line.replace(f"new_spte {found[3]}", f"new_spte {pages[found[1]] & ~2:x}")
            break
        lines.append(line)
    return "\n".join([*lines, line, ""])
