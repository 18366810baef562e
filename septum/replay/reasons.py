"""Why a trace cannot be followed, or decides nothing, and what a reader should know of how it was read."""

from __future__ import annotations

from septum.replay.native import Form, Seen
from septum.replay.result import Group
from septum.replay.session import Session
from septum.replay.traced.events import Guard, Kind
from septum.replay.words import GUARDS

SCRIPT = "perf script -F comm,pid,tid,cpu,time,event,trace"
FORMS = {
    Form.NO_TASK: "its lines have no task, CPU and time: switch options/context-info on (echo 1 > options/context-info)",
    Form.NO_TIME: f"its lines have no time: print it with {SCRIPT}",
    Form.RAW: "it is in tracefs' raw form, which names no event: echo 0 > options/raw",
    Form.HEX: "it is in tracefs' hexadecimal form, which names no event: echo 0 > options/hex",
    Form.PERF_TRACE: f"it is what `perf trace` prints, which leaves out fields that are 0: record with perf record, and {SCRIPT}",
    Form.VERBOSE: "it is tracefs' verbose latency form: echo 0 > options/verbose",
    Form.FIELDS: f"perf script left fields out of its lines, or added others: print it with {SCRIPT}",
    Form.QUOTED: "its lines are quoted, as in a mail: take the marks off, sed 's/^> *//' FILE | septum replay -",
}
OTHERS_DID_IT = {GUARDS[Guard.NO_TABLE], GUARDS[Guard.OLD_VALUE], GUARDS[Guard.OTHER_ADDRESS]}


def nothing(session: Session, groups: tuple[Group, ...], truncated: str) -> str:
    """Why a trace cannot be followed, or cannot decide; empty if it can."""
    scan = session.state.scan
    if scan.kinds[Kind.CHANGED]:
        return undecided(session, groups)
    if not scan.lines:
        return truncated or "the trace is empty"
    if any(group.first.guard == GUARDS[Guard.NOT_ALLOWED] for group in groups):
        return ""
    if not scan.events:
        return in_no_form(session) or (
            f"none of its {scan.lines:,} lines is an event as tracefs, trace-cmd report or perf script print it"
        )
    if 10 * scan.forms[Form.FIELDS] > scan.lines:
        return FORMS[Form.FIELDS]
    if scan.shadow:
        return "it has no kvm_tdp_mmu_spte_changed, but shadow pages: the module kvm was loaded with tdp_mmu=N"
    if scan.kinds[Kind.GET_PAGE] or scan.kinds[Kind.REQUESTED]:
        return "it has no kvm_tdp_mmu_spte_changed: the event was not recorded, or the module kvm was loaded with tdp_mmu=N"
    old = ", or this kernel is older than the event, which came after 5.10" if scan.formats & Seen.OLD_FAULT else ""
    return f"it has no kvm_tdp_mmu_spte_changed, which tells of every change: record the events kvmmmu:* (docs/replay.md){old}"


def in_no_form(session: Session) -> str:
    """The form of a trace without a readable event."""
    scan = session.state.scan
    best = max(Form, key=lambda form: int(scan.forms[form]))
    return FORMS[best] if scan.forms[best] else ""


def undecided(session: Session, groups: tuple[Group, ...]) -> str:
    """Why a divergence is none of the kernel: threads or CPUs that the trace does not tell of."""
    state = session.state
    if not groups:
        return ""
    line = groups[0].first.at.number
    if state.comm_flips:
        return (
            "several threads have one number, so what each is in the middle of cannot be told: perf script printed the process "
            f"and not the thread; ask for both: {SCRIPT}"
        )
    if state.cpus_seen == 1 < state.scan.cpus and all(group.first.guard in OTHERS_DID_IT for group in groups):
        return (
            f"it has the events of one CPU of {state.scan.cpus}, and line {line} follows from what another CPU did: give the "
            "file `trace` of tracefs and not per_cpu/cpuN/trace"
        )
    if session.unit == 1 and state.scan.ties and all(group.first.guard in OTHERS_DID_IT for group in groups):
        return (
            f"its clock does not order the events of different CPUs ({state.scan.ties:,} have the time of another CPU's), and "
            f"line {line} needs their order: record with trace_clock global (docs/replay.md)"
        )
    return ""


def notes(session: Session) -> list[str]:
    """What the reader should know about how the trace was read."""
    found = []
    scan, m, state = session.state.scan, session.m, session.state
    if scan.written > scan.in_buffer:
        found.append(
            f"the buffer lost its beginning: {scan.written - scan.in_buffer} events; entries are learned as they are seen"
        )
    elif m.midlife and not scan.losses:
        found.append("it begins in the middle of a VM's life: entries are learned as they are seen")
    if state.gaps:
        found.append(
            f"at {state.gaps:,} events lines must be missing, which the header's numbers allow; each makes all entries unknown"
        )
    if session.unit == 1:
        found.append("its clock counts no seconds: times are in ticks of it")
    if state.cpus_seen == 1 < scan.cpus:
        found.append(f"it has the events of one CPU of {scan.cpus}")
    if scan.folded:
        found.append(f"{scan.folded:,} lines were folded, as by a mail program, and were joined")
    if state.encrypted:
        found.append(f"bit {int(state.encrypted).bit_length() - 1} of every SPTE is taken as that of memory encryption")
    return [*found, *_missing(session)]


def _missing(session: Session) -> list[str]:
    """Events that would let more be checked."""
    scan, traced = session.state.scan, session.m.traced
    if not scan.kinds[Kind.CHANGED]:
        return []
    missing = [
        name for name, there in (
            ("kvm_mmu_spte_requested", traced.requested), ("kvm_mmu_set_spte", traced.set_spte),
            ("kvm_mmu_get_page", traced.get_page),
            ("kvm_mmu_prepare_zap_page", traced.zap_page or scan.without_gfn),
        ) if not there
    ]  # fmt: skip
    found = [f"without {', '.join(missing)} fewer rules can be checked"] if missing else []
    if scan.without_gfn:
        found.append(
            f"the text of kvm_mmu_prepare_zap_page has no GFN ({scan.without_gfn:,} lines): a plugin of libtraceevent prints "
            "it so (trace-cmd report -N leaves it out; perf has no such option), and the rules that need it are left out"
        )
    return found
