"""The kernels and page-table formats that a trace may come from, and how a trace shows which.

Facts: kvm-mmu.md 2.1, 2.2 for EPT; recorded traces of 6.1, 6.12, 6.17, 6.18 and 7.3 for the rest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from septum.host.entry import ADDRESS_MASK, PAGE_SHIFT
from septum.lang.errors import UserError
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
SEEN_ACCESS, SEEN_LAZY, SEEN_ENTRY_INFO = 4, 16, 128  # of fields.c


@dataclass(frozen=True)
class Format:
    """A page-table format: the masks of septum.replay.traced.layout.Layout."""

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
    mmio_ve: bool = False
    access_track: int = 0

    def explains(self, value: int, level: int) -> bool:
        """Whether a present value can be of this format."""
        bits = value & ~ADDRESS_MASK
        if level > 1 and not value & PT_PAGE_SIZE_MASK:
            return bits == self.nonleaf
        return bits & self.leaf == self.leaf and not bits & ~(self.leaf | self.optional | PT_PAGE_SIZE_MASK)


HIGH = 1 << 63
NPT = Format(
    "NPT", 0x827, 0x805, 0x662 | HIGH, 1 << 1, 1 << 10, 1 << 9, 1 << 5, 1 << 6, 1 << 51 | 7 | HIGH, 1 << 51 | 7,
)  # fmt: skip
EPT_OPTIONAL = 0x37E | 3 << 57
EPT = Format("EPT", 0x907, 0x801, EPT_OPTIONAL, 1 << 1, 1 << 58, 1 << 57, 1 << 8, 1 << 9, 7 | HIGH, 6)
EPT_VE = Format(
    "EPT with suppress-#VE", HIGH | 0x907, HIGH | 0x801, EPT_OPTIONAL, 1 << 1, 1 << 58, 1 << 57, 1 << 8, 1 << 9, 7 | HIGH, 6,
    True,
)  # fmt: skip
NO_AD = 1 << 52
EPT_NO_AD = Format(
    "EPT without A/D bits", NO_AD | 0x807, NO_AD | 0x800, 0x7F | 5 << 54 | 3 << 57, 1 << 1, 1 << 58, 1 << 57, 0, 0, 7 | HIGH, 6,
    access_track=7,
)  # fmt: skip
EPT_VE_NO_AD = Format(
    "EPT with suppress-#VE, without A/D bits", HIGH | NO_AD | 0x807, HIGH | NO_AD | 0x800, 0x7F | 5 << 54 | 3 << 57, 1 << 1,
    1 << 58, 1 << 57, 0, 0, 7 | HIGH, 6,
    access_track=7,
)  # fmt: skip
FORMATS = (NPT, EPT, EPT_VE, EPT_NO_AD, EPT_VE_NO_AD)


FORMAT_FIELDS = (
    "nonleaf", "leaf", "optional", "writable", "mmu_writable", "host_writable", "accessed", "dirty", "mmio_mask", "mmio_value",
    "mmio_ve", "access_track",
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


def choose(values: Iterable[tuple[int, int]], kernel: str = "", formats: str = "", seen: int = 0, by_exit: str = "") -> Choice:
    """The kernel and the format of a trace, from what is said of it and from the (value, level) pairs of its first changes.

    `formats` is the text of the kernel's own format files; `seen` are the SEEN_ flags of the scanner.
    """
    counted = Counter(values)
    present = {pair: count for pair, count in counted.items() if pair[0] & SPTE_MMU_PRESENT_MASK}
    special = {value for value, _ in counted if not value & SPTE_MMU_PRESENT_MASK}
    era, era_from = _era(special, kernel, formats, seen)
    scores = {one: sum(count for (value, level), count in present.items() if one.explains(value, level)) for one in FORMATS}
    best = max(FORMATS, key=lambda one: scores[one])
    if scores[best]:
        return Choice(era, best, era_from, "by the values of SPTEs")
    if by_exit:
        return Choice(era, EPT_VE if by_exit == "EPT" else NPT, era_from, "by kvm_exit")
    return Choice(era, NPT, era_from, "assumed: there is no present SPTE")


def _era(special: set[int], kernel: str, formats: str, seen: int) -> tuple[Era, str]:
    if kernel:
        return era_of(kernel), "as --kernel says"
    if formats:
        return _era_of_formats(formats), "by the format files"
    if 0 in special and NONPRESENT not in special:
        return OLD, "by the values of SPTEs"
    if NONPRESENT | 0x1A0 in special:
        return ERAS[4], "by the frozen value"
    if seen & SEEN_ACCESS:
        return ERAS[4], "by the fields of kvm_mmu_spte_requested"
    if seen & (SEEN_LAZY | SEEN_ENTRY_INFO):
        return ERAS[3], "by the fields of kvm_entry" if seen & SEEN_ENTRY_INFO else "by the flags of tasks"
    return MIDDLE, "by the values of SPTEs"


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
