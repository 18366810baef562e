"""A schedule of the model as the kernel would have traced it: the events kvmmmu:* of a mirror root, and the SEAMCALLs as kprobes.

The order is that of 6.16 to 7.1, where a zap is traced before its SEAMCALLs. A small scope becomes real geometry: entry i of a
table of two is entry i of 512, and the tables above the model's root are linked in the beginning. A SEAMCALL that was busy
changes nothing and is left out, and so are the direct roots of a TD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from septum.explore.build import Build
from septum.host.entry import ADDRESS_MASK, FROZEN_SPTE, PAGE_SHIFT, SHADOW_NONPRESENT_VALUE
from septum.host.frames import PageType
from septum.host.geometry import ENTRIES, ENTRY_BITS, LEVELS, PAGES, VMS
from septum.kvm.machine import Machine
from septum.kvm.tdp.spte import NONLEAF_SPTE, PT_PAGE_SIZE_MASK, is_last_spte, is_shadow_present_pte
from septum.lang.engine import Engine, Status
from septum.lang.errors import UserError
from septum.lang.types import scope
from septum.tdx.sept import SeptState, sept_page, sept_state
from septum.tdx.td import Lifecycle

ROOT_LEVEL, REAL_BITS = 4, 9
FIRST_PFN = 1 << 20
present: Callable[[int], bool] = is_shadow_present_pte
last: Callable[[int, int], bool] = is_last_spte
state_of: Callable[[int], SeptState] = sept_state
page_of: Callable[[int], int] = sept_page
PRIVATE_WRITE = 1 << 49 | 2
HEADER = "# tracer: nop\n#\n# entries-in-buffer/entries-written: {0}/{0}   #P:{1}\n#\n# {2}\n#\n"
LEAF_STATES = {SeptState.MAPPED, SeptState.PENDING}
BLOCKED_STATES = {SeptState.BLOCKED, SeptState.PENDING_BLOCKED}


class Entry(NamedTuple):
    """An entry of a tree: whose, at which level, from which (real) GFN on."""

    vm: int
    level: int
    gfn: int


@dataclass
class Trees:
    """All that events tell of: mirror and S-EPT entries that can be reached, tables with a header, epochs, S-EPT pages."""

    mirror: dict[Entry, tuple[int, int]] = field(default_factory=dict)
    sept: dict[Entry, int] = field(default_factory=dict)
    tables: dict[int, tuple[int, int]] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)
    held: frozenset[int] = frozenset()


def real_pfn(page: int) -> int:
    """A page of the model as a page frame: the 2M ranges of the model have two pages, these 512."""
    return FIRST_PFN + (page // ENTRIES.value << REAL_BITS) + page % ENTRIES.value


def real_gfn(gfn: int) -> int:
    """A GFN with the indices of its model tables in tables of 512 entries."""
    mask, bits = ENTRIES.value - 1, ENTRY_BITS.value
    return sum((gfn >> bits * level & mask) << REAL_BITS * level for level in range(LEVELS.value))


def real_spte(word: int) -> int:
    """A mirror SPTE with its real page."""
    if not present(word):
        return word
    return word & ~ADDRESS_MASK | real_pfn((word & ADDRESS_MASK) >> PAGE_SHIFT) << PAGE_SHIFT


def look(m: Any) -> Trees:
    """The trees as they are now."""
    found = Trees()
    for vm in range(1, VMS.value + 1):
        if m.vm[vm].mirror_root:
            _mirror(m, found, vm, int(m.vm[vm].mirror_root), LEVELS.value, 0)
            if m.td[vm].lifecycle == Lifecycle.KEYS_CONFIGURED:
                _sept(m, found, vm, int(m.td[vm].root), LEVELS.value, 0)
            found.epochs[vm] = int(m.td[vm].epoch)
    for page in range(1, PAGES.value):
        if m.sp[page].level and m.sp[page].external_spt:
            found.tables[page] = (int(m.sp[page].level), int(m.sp[page].gfn))
    found.held = frozenset(page for page in range(1, PAGES.value) if m.frame[page].type == PageType.EPT)
    return found


def _mirror(m: Any, found: Trees, vm: int, table: int, level: int, gfn: int) -> None:
    for i in range(ENTRIES.value):
        word, at = int(m.table[table].word[i]), gfn + (i << REAL_BITS * (level - 1))
        found.mirror[Entry(vm, level, at)] = (table, word)
        if level > 1 and present(word) and not last(word, level):
            _mirror(m, found, vm, (word & ADDRESS_MASK) >> PAGE_SHIFT, level - 1, at)


def _sept(m: Any, found: Trees, vm: int, table: int, level: int, gfn: int) -> None:
    for i in range(ENTRIES.value):
        word, at = int(m.table[table].word[i]), gfn + (i << REAL_BITS * (level - 1))
        found.sept[Entry(vm, level, at)] = word
        if level > 1 and state_of(word) == SeptState.NL_MAPPED:
            _sept(m, found, vm, int(page_of(word)), level - 1, at)


class Writer:
    """The lines of a trace, made one step after another."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.lines = engine, list[str]()
        self.task, self.thread = "vmm", 0
        self.frozen: dict[Entry, int] = {}
        self.seen: dict[tuple[int, str], Any] = {}
        self.split: dict[Entry, int] = {}
        self.before = look(engine.m)

    def say(self, vm: int, event: str, fields: str) -> None:
        """One line."""
        at, pid = len(self.lines), 1000 * vm + self.thread
        place = f"{self.task:>16}-{pid:<7} ({1000 * vm:5}) [{self.thread:03}] ....."
        self.lines.append(f"{place} {100 + at // 1_000_000:6}.{at % 1_000_000:06}: {event}: {fields}")

    # -- what was there before the first step

    def prologue(self) -> None:
        """The roots of every VM, the tables above the model's root, and what the scenario starts with."""
        for vm in sorted(self.before.epochs):
            self.roots(vm)
        for entry in sorted(self.before.mirror, key=lambda one: (one.vm, -one.level, one.gfn)):
            table, word = self.before.mirror[entry]
            if present(word) and last(word, entry.level):
                self.request(entry.vm, entry.gfn, real_spte(word), entry.level)
                self.call(entry, "tdh_mem_page_aug", real_pfn((word & ADDRESS_MASK) >> PAGE_SHIFT))
                self.changed(entry, table, SHADOW_NONPRESENT_VALUE, word, in_fault=True)
            elif present(word):
                self._link(entry, real_spte(word))

    def roots(self, vm: int) -> None:
        """The roots of a VM, the mirror first, and the tables above the model's root."""
        for _ in range(2):
            self.page(vm, "get_page", 0, ROOT_LEVEL)
        for level in range(ROOT_LEVEL, LEVELS.value, -1):
            page = PAGES.value + ENTRIES.value * (vm * ROOT_LEVEL + level)
            table = int(self.engine.m.vm[vm].mirror_root) if level == LEVELS.value + 1 else page
            self._link(Entry(vm, level, 0), NONLEAF_SPTE | real_pfn(table) << PAGE_SHIFT)

    def _link(self, entry: Entry, spte: int) -> None:
        self.request(entry.vm, entry.gfn, FIRST_PFN << PAGE_SHIFT, 1)
        self.page(entry.vm, "get_page", entry.gfn, entry.level - 1)
        self.call(entry, "tdh_mem_sept_add")
        self.change(entry, SHADOW_NONPRESENT_VALUE, spte)

    # -- a step

    def step(self, thread: int) -> None:
        """The events of the step that a thread has just made."""
        name = self.engine.threads[thread].thread.name
        self.task, self.thread = (f"{name.replace('vCPU', 'CPU')}/KVM" if name.startswith("vCPU") else name), thread + 1
        before, after = self.before, look(self.engine.m)
        self.before = after
        for vm in sorted(after.epochs.keys() - before.epochs.keys()):
            self.roots(vm)
        self.calls(before, after)
        kept = [entry for entry in after.mirror if entry in before.mirror and after.mirror[entry] != before.mirror[entry]]
        for entry in kept:
            if entry in self.frozen and after.mirror[entry][1] != FROZEN_SPTE:
                self._thawed(entry, *after.mirror[entry])
        self.faults(thread)
        for table, (level, gfn) in after.tables.items():
            if table not in before.tables:
                self.page(self._vm_of(after, table), "get_page", real_gfn(gfn), level)
        for entry in kept:
            (table, old), (_, new) = before.mirror[entry], after.mirror[entry]
            if new == FROZEN_SPTE:
                self.frozen[entry] = old
            elif old != FROZEN_SPTE:
                self.changed(entry, table, old, new)

    def _thawed(self, entry: Entry, table: int, new: int) -> None:
        old = self.frozen.pop(entry)
        if old != new:
            self.changed(entry, table, old, new, in_fault=old == SHADOW_NONPRESENT_VALUE)

    def _vm_of(self, after: Trees, table: int) -> int:
        """The VM of a table that nobody reaches yet: that of the thread which made it."""
        for _, frame in self.engine.calls(self.thread - 1):
            if frame.f_locals.get("vm"):
                return int(frame.f_locals["vm"])
        return next(iter(after.epochs))

    def calls(self, before: Trees, after: Trees) -> None:
        """The SEAMCALLs that took effect in a step, by what they changed."""
        for vm, epoch in after.epochs.items():
            if epoch != before.epochs.get(vm, epoch):
                self.say(vm, "tdh_mem_track", TRACK)
        for entry in before.sept.keys() & after.sept.keys():
            word = after.sept[entry]
            name = call_of(state_of(before.sept[entry]), state_of(word))
            if name:
                self.call(entry, name, real_pfn(int(page_of(word))) if name in INSTALLS else 0)
        for page in sorted(before.held - after.held):
            vm = next((one for one in after.epochs), 1)
            self.say(
                vm, "tdh_phymem_page_reclaim", f"(tdx_reclaim_page <- tdh_phymem_page_reclaim) pfn={real_pfn(page):#x} ret=0x0"
            )

    def faults(self, thread: int) -> None:
        """kvm_page_fault and kvm_mmu_spte_requested where a fault, or its walk, has begun."""
        frames = {instance.source.name: frame for instance, frame in self.engine.calls(thread)}
        for name, frame in frames.items():
            if name in FAULTS and self.seen.get((thread, name)) is not frame:
                self.seen[thread, name] = frame
                values = frame.f_locals
                vcpu, gfn = int(values["vcpu"]), real_gfn(int(values["gfn"]))
                vm = int(self.engine.m.vcpu[vcpu].vm)
                if name == "kvm_tdp_mmu_page_fault":
                    address = f"0x{gfn << PAGE_SHIFT:016x}"
                    self.say(vm, "kvm_page_fault", f"vcpu {vcpu - 1} rip 0x0 address {address} error_code {PRIVATE_WRITE:#x}")
                else:
                    self.request(vm, gfn, real_pfn(int(values["page"])) << PAGE_SHIFT, int(values["goal"]))

    # -- an event

    def changed(self, entry: Entry, table: int, old: int, new: int, in_fault: bool = False) -> None:
        """A change of an entry, and the events that the kernel makes along with it."""
        if entry in self.split and not present(new):
            self.rest(entry, self.split.pop(entry))
        self.change(entry, real_spte(old), real_spte(new))
        leaf = present(new) and last(new, entry.level)
        if present(old) and not last(old, entry.level):
            self.page(entry.vm, "prepare_zap_page", entry.gfn, entry.level - 1)
        elif present(old) and present(new) and not leaf:
            self.split[entry] = real_spte(old)
            self.say(
                entry.vm, "kvm_mmu_split_huge_page", f"gfn {entry.gfn:x} spte {real_spte(old):x} level {entry.level} errno 0"
            )
        elif leaf and in_fault:
            place = (real_pfn(table) << PAGE_SHIFT) + 8 * (entry.gfn >> REAL_BITS * (entry.level - 1) & 511)
            self.say(entry.vm, "kvm_mmu_set_spte", f"gfn {entry.gfn:x} spte {real_spte(new):x} level {entry.level} at {place:x}")

    def rest(self, entry: Entry, huge: int) -> None:
        """The leaves of a split that the model's small table does not have are removed before their table."""
        for i in range(ENTRIES.value, 1 << REAL_BITS):
            leaf = Entry(entry.vm, 1, entry.gfn + i)
            self.change(leaf, make_leaf(huge, i), SHADOW_NONPRESENT_VALUE)
            self.call(leaf, "tdh_mem_range_block")
            self.say(entry.vm, "tdh_mem_track", TRACK)
            self.call(leaf, "tdh_mem_page_remove")

    def change(self, entry: Entry, old: int, new: int) -> None:
        fields = f"as id 0 gfn {entry.gfn:x} level {entry.level} old_spte {old:x} new_spte {new:x}"
        self.say(entry.vm, "kvm_tdp_mmu_spte_changed", fields)

    def request(self, vm: int, gfn: int, spte: int, level: int) -> None:
        self.say(vm, "kvm_mmu_spte_requested", f"gfn {gfn:x} pfn {(spte & ADDRESS_MASK) >> PAGE_SHIFT:x} level {level}")

    def page(self, vm: int, what: str, gfn: int, level: int) -> None:
        self.say(vm, f"kvm_mmu_{what}", f"sp gen 0 gfn {gfn:x} l{level} 8-byte q0 direct wux nxe ad root 0 sync")

    def call(self, entry: Entry, name: str, pfn: int = 0) -> None:
        caller, place = CALLERS[name], f"gpa={entry.gfn << PAGE_SHIFT:#x} level={entry.level - 1}"
        page = f" pfn={pfn:#x}" if pfn else ""
        self.say(entry.vm, name, f"({caller} <- {name}) {place}{page} ret=0x0")


TRACK = "(tdx_track <- tdh_mem_track) ret=0x0"
INSTALLS = ("tdh_mem_page_aug", "tdh_mem_page_add")
FAULTS = ("kvm_tdp_mmu_page_fault", "kvm_tdp_mmu_map")
CALLERS = {
    "tdh_mem_page_aug": "tdx_mem_page_aug", "tdh_mem_page_add": "tdx_gmem_post_populate",
    "tdh_mem_sept_add": "tdx_sept_map_nonleaf_spte", "tdh_mem_page_demote": "tdx_sept_split_private_spte",
    "tdh_mem_range_block": "tdx_sept_remove_leaf_spte", "tdh_mem_page_remove": "tdx_sept_remove_leaf_spte",
}  # fmt: skip


def make_leaf(huge: int, i: int) -> int:
    """make_small_spte(): the i-th 4K leaf of a 2M leaf."""
    return huge & ~PT_PAGE_SIZE_MASK | i << PAGE_SHIFT


def call_of(old: SeptState, new: SeptState) -> str:
    """The SEAMCALL that brings an entry from one state to another; empty for what the guest does."""
    if old == SeptState.FREE and new in LEAF_STATES:
        return "tdh_mem_page_aug" if new == SeptState.PENDING else "tdh_mem_page_add"
    if old == SeptState.FREE and new == SeptState.NL_MAPPED:
        return "tdh_mem_sept_add"
    if old in LEAF_STATES and new in BLOCKED_STATES:
        return "tdh_mem_range_block"
    if old in BLOCKED_STATES and new == SeptState.FREE:
        return "tdh_mem_page_remove"
    return "tdh_mem_page_demote" if old in BLOCKED_STATES and new == SeptState.NL_MAPPED else ""


def written(build: Build, schedule: tuple[tuple[int, int], ...], title: str) -> str:
    """The trace of a schedule, as tracefs prints it with record-tgid."""
    if build.model.world is not Machine:
        raise UserError(f"{build.model.name} has no mirror tables, of which a trace tells")
    with scope(build.bindings):
        engine = build.engine()
        writer = Writer(engine)
        writer.prologue()
        for thread, choice in schedule:
            if engine.step(thread, choice) is not Status.FAILED:
                writer.step(thread)
    head = HEADER.format(len(writer.lines), len(engine.threads) + 1, title)
    return head + "".join(f"{line}\n" for line in writer.lines)
