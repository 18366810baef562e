"""A host that does what is not under test: it brings a module up, hands out pages, builds a TD and takes it down.

Every step is a SEAMCALL whose status is checked; a host under test makes the same calls itself.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from septum.host.entry import PAGE_SHIFT
from septum.host.tdmrs import Shape, Tdmr, construct_tdmrs
from septum.lang import SeptumError, UserError
from septum.tdx.geometry import FIRST_HKID, MIN_TDVPX
from septum.tdx.leaves import Leaf
from septum.tdx.module import Answer, Module
from septum.tdx.status import CODES, Status
from septum.tdx.versions import MIN_TDCX

PAGE = 1 << PAGE_SHIFT
ALL_PACKAGES_DONE = CODES[Status.TDX_NO_HKID_READY_TO_WBCACHE]


class UnexpectedStatus(SeptumError):
    """A call that had to succeed did not."""


def expect(answer: Answer, status: int = 0) -> Answer:
    """The answer, if it has this status (SUCCESS); UnexpectedStatus if not."""
    if answer.status != status:
        raise UnexpectedStatus(f"the module answers {answer.name} (rcx {answer.rcx:#x}, rdx {answer.rdx:#x})")
    return answer


class Host:
    """A host with a module that is ready: `boot`, then pages and TDs. `dynamic` asks SYS.CONFIG for Dynamic PAMT."""

    def __init__(self, module: Module, *, dynamic: bool = False, memory: Sequence[tuple[int, int]] | None = None) -> None:
        self.module, self.dynamic = module, dynamic
        with module.scope():
            self.hkid = FIRST_HKID.value
            self._tdcx, self._tdvpx = MIN_TDCX.value, MIN_TDVPX.value
        geometry = module.geometry
        self.large = geometry.entries * PAGE
        self.block = geometry.entries * self.large
        shape = Shape(block=self.block, entries=geometry.entries, dynamic=dynamic)
        self.regions = list(memory or [(base, base + size) for base, size in module.cmrs])
        self.tdmrs = construct_tdmrs(self.regions, shape)
        self._boot()
        self._at, self._free = self.tdmrs[0].base, [area for one in self.tdmrs for area in one.reserved]
        self._pairs: set[int] = set()

    def _boot(self) -> None:
        """SYS.INIT, LP.INIT, CONFIG, KEY.CONFIG, and TDMR.INIT of every TDMR to its end."""
        module = self.module
        expect(module.seamcall(Leaf.SYS_INIT))
        for lp in range(module.geometry.lps):
            expect(module.seamcall(Leaf.SYS_LP_INIT, lp=lp))
        module.memory[PAGE] = struct.pack(f"<{len(self.tdmrs)}Q", *(PAGE * (2 + n) for n in range(len(self.tdmrs))))
        for number, tdmr in enumerate(self.tdmrs):
            module.memory[PAGE * (2 + number)] = tdmr_info(tdmr)
        expect(module.seamcall(Leaf.SYS_CONFIG, rcx=PAGE, rdx=len(self.tdmrs), r8=self.hkid | self.dynamic << 16))
        self.hkid += 1
        for package in range(module.geometry.packages):
            expect(module.seamcall(Leaf.SYS_KEY_CONFIG, lp=package))
        for tdmr in self.tdmrs:
            while module.seamcall(Leaf.SYS_TDMR_INIT, rcx=tdmr.base).status == 0:
                pass

    def page(self, *, size: int = PAGE, paired: bool = True) -> int:
        """A page that nobody has; with Dynamic PAMT its range gets a pair, if it is one of 4K."""
        while True:
            at = -(-self._at // size) * size
            blocked = [end for begin, end in self._free if begin < at + size and at < end]
            if not blocked and at != 0:
                break
            self._at = max(blocked, default=at + size)
        if not any(one.base <= at and at + size <= one.end for one in self.tdmrs):
            raise UserError(f"no {size >> 10} KiB of memory are left")
        self._at = at + size
        if paired and size == PAGE:
            self.back(at)
        return at

    def back(self, page: int) -> None:
        """With Dynamic PAMT: PAMT.ADD of a pair for the range of a page, once."""
        first = page // self.large * self.large
        if self.dynamic and first not in self._pairs:
            self._pairs.add(first)
            pair = [self.page(paired=False), self.page(paired=False)]
            answer = self.module.seamcall(Leaf.PHYMEM_PAMT_ADD, rcx=first | 1, rdx=pair[0], r8=pair[1])
            if answer.code is not Status.TDX_HPA_RANGE_NOT_FREE:  # the host under test has given it one
                expect(answer)

    def td(self, *, vcpus: int = 1, finalized: bool = True) -> Td:
        """A TD with so many vCPUs, which LPs from 0 on are associated with; RUNNABLE, or still in its build phase."""
        td = Td(self, self.page(), self.hkid)
        self.hkid += 1
        td.configure()
        for lp in range(vcpus):
            td.add_vcpu(lp)
        if finalized:
            expect(self.module.seamcall(Leaf.MR_FINALIZE, rcx=td.tdr))
        return td


class Td:
    """A TD that a Host builds. Levels are the module's: 0 is 4K."""

    def __init__(self, host: Host, tdr: int, hkid: int) -> None:
        self.host, self.module, self.tdr, self.hkid = host, host.module, tdr, hkid
        self.pages: list[int] = []
        self.vcpus: list[int] = []
        expect(self.module.seamcall(Leaf.MNG_CREATE, rcx=tdr, rdx=hkid))

    def configure(self) -> None:
        """KEY.CONFIG on each package, ADDCX, INIT."""
        for package in range(self.module.geometry.packages):
            expect(self.module.seamcall(Leaf.MNG_KEY_CONFIG, lp=package, rcx=self.tdr))
        for _ in range(self.host._tdcx):
            expect(self.module.seamcall(Leaf.MNG_ADDCX, rcx=self.own(self.host.page()), rdx=self.tdr))
        expect(self.module.seamcall(Leaf.MNG_INIT, rcx=self.tdr, rdx=0))

    def own(self, page: int) -> int:
        """Notes a page that the module holds for this TD, to be reclaimed."""
        self.pages.append(page)
        return page

    def add_vcpu(self, lp: int) -> int:
        """VP.CREATE, ADDCX, INIT on an LP; its TDVPR."""
        tdvpr = self.own(self.host.page())
        expect(self.module.seamcall(Leaf.VP_CREATE, lp=lp, rcx=tdvpr, rdx=self.tdr))
        for _ in range(self.host._tdvpx - 1):
            expect(self.module.seamcall(Leaf.VP_ADDCX, lp=lp, rcx=self.own(self.host.page()), rdx=tdvpr))
        expect(self.module.seamcall(Leaf.VP_INIT, lp=lp, rcx=tdvpr))
        self.vcpus.append(tdvpr)
        return tdvpr

    def link(self, gpa: int, level: int = 1) -> None:
        """SEPT.ADD of every table that is missing from the root down to the entry of a GPA at `level`."""
        for at in range(self.module.geometry.levels - 1, level - 1, -1):
            size = PAGE * self.module.geometry.entries**at
            entry = self.module.seamcall(Leaf.MEM_SEPT_RD, rcx=gpa // size * size | at, rdx=self.tdr)
            if entry.status == 0 and entry.rdx >> 8 & 0xFF == 0:
                expect(
                    self.module.seamcall(
                        Leaf.MEM_SEPT_ADD, rcx=gpa // size * size | at, rdx=self.tdr, r8=self.own(self.host.page())
                    )
                )

    def augment(self, gpa: int, level: int = 0) -> int:
        """PAGE.AUG of a new page of this level, with the tables it needs; the page."""
        self.link(gpa, level + 1)
        page = self.own(self.host.page(size=PAGE * self.module.geometry.entries**level))
        expect(self.module.seamcall(Leaf.MEM_PAGE_AUG, rcx=gpa | level, rdx=self.tdr, r8=page))
        return page

    def accept(self, gpa: int, level: int = 0, vcpu: int = 0) -> None:
        """The guest enters, accepts a page and leaves."""
        tdvpr = self.vcpus[vcpu]
        expect(self.module.seamcall(Leaf.VP_ENTER, lp=vcpu, rcx=tdvpr))
        expect(self.module.tdcall(tdvpr, 6, rcx=gpa | level))
        self.module.interrupt(vcpu)

    def call(self, leaf: int, gpa: int, level: int = 0, **registers: int) -> Answer:
        """A leaf on the entry of a GPA at a level."""
        return self.module.seamcall(leaf, rcx=gpa | level, rdx=self.tdr, **registers)

    def destroy(self) -> None:
        """The end of a TD: FLUSH, VPFLUSHDONE, CACHE.WB, FREEID, RECLAIM of every page, the TDR last."""
        module = self.module
        for lp, tdvpr in enumerate(self.vcpus):
            expect(module.seamcall(Leaf.VP_FLUSH, lp=lp, rcx=tdvpr))
        expect(module.seamcall(Leaf.MNG_VPFLUSHDONE, rcx=self.tdr))
        for package in range(module.geometry.packages):
            expect(module.seamcall(Leaf.PHYMEM_CACHE_WB, lp=package))
        expect(module.seamcall(Leaf.MNG_KEY_FREEID, rcx=self.tdr))
        for page in [*self.pages, self.tdr]:
            answer = module.seamcall(Leaf.PHYMEM_PAGE_RECLAIM, rcx=page)
            expect(answer)


def tdmr_info(tdmr: Tdmr) -> bytes:
    """TDMR_INFO: base, size, the PAMT areas from 1G to 4K, the reserved areas as offsets; 512 bytes."""
    words = [tdmr.base, tdmr.size]
    for begin, end in reversed(tdmr.pamt):
        words += [begin, end - begin]
    for begin, end in tdmr.reserved:
        words += [begin - tdmr.base, end - begin]
    return struct.pack(f"<{len(words)}Q", *words).ljust(512, b"\0")
