"""The kernels and page-table formats that a trace may come from, and how a trace shows which.

Facts: kvm-mmu.md 2.1, 2.2 and mmu/spte.c of 7.2.13 for EPT; recorded traces of 6.1, 6.12, 6.17, 6.18 and 7.3 for the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT
from septum.lang.errors import UserError
from septum.replay.native import Seen
from septum.replay.traced.layout import PT_PAGE_SIZE_MASK, SPTE_MMU_PRESENT_MASK

NONPRESENT = 1 << 63
C_BIT_MIN = 40


@dataclass(frozen=True)
class Era:
    """Kernels whose traces read the same: from `first` on, until the next era begins."""

    name: str
    first: tuple[int, int]
    nonpresent: int
    frozen: int
    parent_last: bool = False
    silent_unfreeze: bool = False
    recovers: bool = False
    splits: bool = True


ERAS = (
    Era("5.15 to 6.1", (5, 15), 0, 0x5A0, silent_unfreeze=True, splits=False),
    Era("6.2 to 6.9", (6, 2), 0, 0x5A0, silent_unfreeze=True),
    Era("6.10 to 6.12", (6, 10), NONPRESENT, NONPRESENT | 0x5A0),
    Era("6.13 to 7.1", (6, 13), NONPRESENT, NONPRESENT | 0x5A0, recovers=True),
    Era("7.2 or newer", (7, 2), NONPRESENT, NONPRESENT | 0x1A0, parent_last=True, recovers=True),
)


OLD = replace(ERAS[1], name="5.15 to 6.9")  # what a trace alone cannot tell apart
MIDDLE = replace(ERAS[3], name="6.10 to 7.1")
ERA_FIELDS = ("parent_last", "silent_unfreeze", "recovers", "splits")
OF_7_2 = {NONPRESENT | 0x1A0}


@dataclass(frozen=True)
class Format:
    """A page-table format: the masks of septum.replay.traced.layout.Layout; `modern` ones are of 7.2 and newer alone."""

    name: str
    nonleaf: int
    leaf: int
    optional: int
    writable: int
    mmu_writable: int
    host_writable: int
    accessed: int
    dirty: int
    mmio_mask: int
    mmio_value: int
    readable: int
    executable: int = 0
    no_execute: int = 0
    mmio_ve: bool = False
    access_track: int = 0
    saved_read: int = 0
    saved_execute: int = 0
    saved_user: int = 0
    modern: bool = False

    def explains(self, bits: int, level: int) -> bool:
        """Whether a present value, without its address, can be of this format."""
        if level > 1 and not bits & PT_PAGE_SIZE_MASK:
            return bits == self.nonleaf
        return bits & self.leaf == self.leaf and not bits & ~(self.leaf | self.optional | PT_PAGE_SIZE_MASK)


HIGH = 1 << 63  # of EPT: suppress #VE; of NPT: NX
MODERN = (7, 2)
NPT = Format(
    "NPT", nonleaf=0x827, leaf=0x805, optional=0x662 | HIGH, writable=1 << 1, mmu_writable=1 << 10, host_writable=1 << 9,
    accessed=1 << 5, dirty=1 << 6, mmio_mask=1 << 51 | 7 | HIGH, mmio_value=1 << 51 | 7, readable=1, no_execute=HIGH,
)  # fmt: skip

# EPT up to 7.1: host-writable 57, MMU-writable 58, A/D disabled 52, saved R and X 54 and 56.
NO_AD = 1 << 52
EPT = Format(
    "EPT", nonleaf=0x907, leaf=0x801, optional=0x37E | 3 << 57, writable=1 << 1, mmu_writable=1 << 58, host_writable=1 << 57,
    accessed=1 << 8, dirty=1 << 9, mmio_mask=7 | HIGH, mmio_value=6, readable=1, executable=1 << 2,
)  # fmt: skip
EPT_VE = replace(EPT, name="EPT with suppress-#VE", nonleaf=HIGH | 0x907, leaf=HIGH | 0x801, mmio_ve=True)
EPT_NO_AD = replace(
    EPT, name="EPT without A/D bits", nonleaf=NO_AD | 0x807, leaf=NO_AD | 0x800, optional=0x7F | 5 << 54 | 3 << 57, accessed=0,
    dirty=0, access_track=7, saved_read=1 << 54, saved_execute=1 << 56,
)  # fmt: skip
EPT_VE_NO_AD = replace(
    EPT_NO_AD, name="EPT with suppress-#VE, without A/D bits", nonleaf=HIGH | NO_AD | 0x807, leaf=HIGH | NO_AD | 0x800,
)  # fmt: skip

# EPT since 7.2: always suppress-#VE, execute is bits 2 and 10, host-writable 53, MMU-writable 55, A/D disabled 60, saved R, X and
# user X at 52, 54 and 62.
NO_AD_7_2 = 1 << 60
EPT_7_2 = Format(
    "EPT of 7.2 or newer", nonleaf=HIGH | 0xD07, leaf=HIGH | 0x800, optional=0x77F | 1 << 53 | 1 << 55, writable=1 << 1,
    mmu_writable=1 << 55, host_writable=1 << 53, accessed=1 << 8, dirty=1 << 9, mmio_mask=7 | HIGH, mmio_value=6, readable=1,
    executable=1 << 2 | 1 << 10, mmio_ve=True, modern=True,
)  # fmt: skip
EPT_7_2_NO_AD = replace(
    EPT_7_2, name="EPT of 7.2 or newer, without A/D bits", nonleaf=HIGH | NO_AD_7_2 | 0xC07, leaf=HIGH | NO_AD_7_2 | 0x800,
    optional=0x47F | 1 << 53 | 1 << 55 | 1 << 52 | 1 << 54 | 1 << 62, accessed=0, dirty=0, mmio_ve=False, access_track=0x407,
    saved_read=1 << 52, saved_execute=1 << 54, saved_user=1 << 62,
)  # fmt: skip
FORMATS = (NPT, EPT, EPT_VE, EPT_NO_AD, EPT_VE_NO_AD, EPT_7_2, EPT_7_2_NO_AD)


FORMAT_FIELDS = (
    "nonleaf", "leaf", "optional", "writable", "mmu_writable", "host_writable", "accessed", "dirty", "mmio_mask", "mmio_value",
    "readable", "executable", "no_execute", "mmio_ve", "access_track", "saved_read", "saved_execute", "saved_user",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What a trace is read as, and how that is known."""

    era: Era
    format: Format
    era_from: str
    format_from: str

    def fill(self, layout: Any) -> None:
        """The masks, for the model."""
        for one, names in ((self.format, FORMAT_FIELDS), (self.era, ERA_FIELDS)):
            for name in names:
                setattr(layout, name, getattr(one, name))


def era_of(kernel: str) -> Era:
    """The era of `6.12.117`; UserError if that is no version, or one without these events."""
    found = re.match(r"v?(\d+)\.(\d+)", kernel)
    if not found:
        raise UserError(f"--kernel {kernel}: a version begins with two numbers, as 6.12")
    version = (int(found[1]), int(found[2]))
    if version < ERAS[0].first:
        raise UserError(f"--kernel {kernel}: kvm_tdp_mmu_spte_changed came after 5.10; 5.15 is the oldest that septum can follow")
    return [era for era in ERAS if era.first <= version][-1]


def encryption_bit(values: Iterable[tuple[int, int]], pages: Iterable[int]) -> int:
    """The address bit that every present SPTE has and no page that a fault asked for: SME's C-bit; 0 if there is none."""
    common, asked, count = ADDRESS_MASK, 0, 0
    for value, _ in values:
        if value & SPTE_MMU_PRESENT_MASK:
            common, count = common & value, count + 1
    for page in pages:
        asked |= page << PAGE_SHIFT
    found = common & ~asked & ~((1 << C_BIT_MIN) - 1)
    return 1 << found.bit_length() - 1 if asked and count and found else 0


def choose(values: Iterable[tuple[int, int]], kernel: str = "", formats: str = "", seen: int = 0) -> Choice:
    """The kernel and the format of a trace, from what is said of it and from the (value, level) pairs of its first changes.

    `formats` is the text of the kernel's own format files; `seen` are the flags of Seen.
    """
    pairs = list(values)
    present = Counter((value & ~ADDRESS_MASK, level) for value, level in pairs if value & SPTE_MMU_PRESENT_MASK)
    special = {value for value, _ in pairs if not value & SPTE_MMU_PRESENT_MASK}
    era, era_from, sure = _era(special, kernel, formats, seen)
    scores = {one: sum(count for (bits, level), count in present.items() if one.explains(bits, level)) for one in FORMATS}
    best = max(FORMATS, key=lambda one: scores[one])
    if scores[best]:
        if best.modern and era.first < MODERN and not sure:
            era, era_from = ERAS[4], "by the bits of SPTEs"
        return Choice(era, best, era_from, "by the values of SPTEs")
    if seen & (Seen.EPT | Seen.NPF):
        of_intel = EPT_7_2 if era.first >= MODERN else EPT_VE
        return Choice(era, of_intel if seen & Seen.EPT else NPT, era_from, "by kvm_exit")
    return Choice(era, NPT, era_from, "assumed: there is no present SPTE")


def _era(special: set[int], kernel: str, formats: str, seen: int) -> tuple[Era, str, bool]:
    """The era, how it is known, and whether that leaves no doubt."""
    if kernel:
        return era_of(kernel), "as --kernel says", True
    if formats:
        return _era_of_formats(formats), "by the format files", True
    if special & OF_7_2:
        return ERAS[4], "by the frozen value", True
    if seen & Seen.ACCESS:
        return ERAS[4], "by the access rights that events name", True
    if special & {0, 0x5A0} and NONPRESENT not in special:
        return OLD, "by the values of SPTEs", True
    if seen & (Seen.LAZY | Seen.ENTRY_INFO):
        return ERAS[3], "by the fields of kvm_entry" if seen & Seen.ENTRY_INFO else "by the flags of tasks", False
    if special & {NONPRESENT, NONPRESENT | 0x5A0}:
        return MIDDLE, "by the values of SPTEs", False
    return MIDDLE, "assumed: nothing in the trace tells", False


def _era_of_formats(text: str) -> Era:
    """The era of the kernel that wrote these format files, by what its events have."""
    if "name: kvm_tdp_mmu_spte_changed" not in text:
        raise UserError("the format files have no kvm_tdp_mmu_spte_changed: it came after 5.10; the module kvm has to be loaded")
    requested, entry = (
        text.partition(f"name: {name}\n")[2].partition("name: ")[0] for name in ("kvm_mmu_spte_requested", "kvm_entry")
    )
    if "access" in requested:
        return ERAS[4]
    if "name: kvm_set_spte_hva" in text:
        return OLD
    return ERAS[3] if "intr_info" in entry else MIDDLE
