"""PAMT: metadata at 4K, 2M and 1G, the walk with its locks, explicit HPA operands; tdx-module.md 2.2 - 2.4, 4.2.

In the whole module the three levels are those of the reference. Inside of a machine the 1G level and the locks of 4K entries are
left out, since nothing competes for them there; the metadata of 4K pages is that of `m.frame`, a 2M page has that of its first.
A bit of the PAMT page bitmap is kept as the type of the page: PAMT for a page of a pair, RSVD for a reserved one.
"""

from septum.host.frames import PageType, Role, gift, give_back, held_by_module
from septum.host.geometry import DYNAMIC_PAMT, ENTRIES, Level, Pfn, RangeId, VmId
from septum.host.ranges import place, range_of
from septum.lang import Slot, Struct, commutes, process, u8, u16, u64
from septum.tdx.geometry import WHOLE, Epoch, Gig
from septum.tdx.locks import TryLock, release_exclusive, release_shared, try_exclusive, try_shared
from septum.tdx.processor import malformed, refuse
from septum.tdx.status import (
    TDX_MISSING_PAMT_PAGE_PAIR,
    TDX_OPERAND_ADDR_RANGE_ERROR,
    TDX_OPERAND_BUSY,
    TDX_OPERAND_INVALID,
    TDX_PAGE_METADATA_INCORRECT,
    TDX_SUCCESS,
)

LARGE_PAGE = Slot("pamt.large")


class Pamt4K(Struct):
    """A 4K PAMT entry of the whole module. A free page keeps the owner that it had last."""

    type: PageType
    lock: TryLock
    owner: Pfn  # the TDR; of a TDR itself the number of its TD
    bepoch: Epoch


class LargePage(Struct):
    """What a 2M PAMT entry says of a page of its size."""

    owner: Pfn
    bepoch: Epoch


class Pamt2M(Struct):
    """The PAMT entry of a 2M range: NDA, REG (a 2M private page) or PAMT with a pair and the count of 4K pages in use."""

    type: PageType
    page0: Pfn
    page1: Pfn
    count: u16
    lock: TryLock
    large: LARGE_PAGE


class Pamt1G(Struct):
    """The PAMT entry of a 1G block, and whether TDMR.INIT has come to its end."""

    type: PageType
    owner: Pfn
    initialised: bool
    lock: TryLock
    bepoch: Epoch


def paired(m):
    """Whether the module runs with Dynamic PAMT: SYS.CONFIG asked for it."""
    if WHOLE:
        return m.sys.dynamic
    return DYNAMIC_PAMT != 0


def gig_of(page: Pfn):
    """The 1G block of a page."""
    return Gig(u64(page) // (ENTRIES * ENTRIES))


def stops(m, entry):
    """Whether a walk ends at this 2M entry: nothing below it says more."""
    return entry.type != (PageType.PAMT if DYNAMIC_PAMT and paired(m) else PageType.NDA)


def lock_walk(m, page: Pfn, target: Level, exclusive: bool):
    """The PAMT walk of tdx-module.md 2.3: the path shared, its leaf as asked; the level reached, 0 if a lock was lost."""
    gig = m.gig[gig_of(page)]
    if gig.type != PageType.NDA or target == 3:
        return Level(3) if try_lock(gig.lock, exclusive) else Level(0)
    if not try_shared(gig.lock):
        return Level(0)
    entry = m.pamt[range_of(m, page)]
    if target == 2 or stops(m, entry):
        if try_lock(entry.lock, exclusive):
            return Level(2)
        release_shared(gig.lock)
        return Level(0)
    if try_shared(entry.lock):
        if try_lock(m.frame[page].lock, exclusive):
            return Level(1)
        release_shared(entry.lock)
    release_shared(gig.lock)
    return Level(0)


def unlock_walk(m, page: Pfn, level: Level, exclusive: bool):
    """Releases what `lock_walk` took; `level` is the one that it reached."""
    gig = m.gig[gig_of(page)]
    entry = m.pamt[range_of(m, page)]
    if level == 3:
        unlock(gig.lock, exclusive)
        return
    release_shared(gig.lock)
    if level == 2:
        unlock(entry.lock, exclusive)
        return
    release_shared(entry.lock)
    unlock(m.frame[page].lock, exclusive)


def try_lock(lock, exclusive: bool):
    """Takes a lock shared or exclusively; whether that was possible."""
    return try_exclusive(lock) if exclusive else try_shared(lock)


def unlock(lock, exclusive: bool):
    """Releases what `try_lock` took."""
    if exclusive:
        release_exclusive(lock)
    else:
        release_shared(lock)


def usable(m, page: Pfn):
    """Whether a page lies in a 1G block of a TDMR that TDMR.INIT has completed."""
    return m.gig[gig_of(page)].initialised


def explicit(m, page: Pfn, operand: u8, want: PageType, target: Level, exclusive: bool):
    """An explicit HPA operand, tdx-module.md 4.2: on success its walk is locked."""
    if malformed(m, operand):
        return refuse(m, TDX_OPERAND_INVALID, operand)
    if not usable(m, page):
        return refuse(m, TDX_OPERAND_ADDR_RANGE_ERROR, operand)
    level = lock_walk(m, page, target, exclusive)
    if level == 0:
        return refuse(m, TDX_OPERAND_BUSY, operand)
    status = TDX_SUCCESS
    if level != target:
        status = TDX_PAGE_METADATA_INCORRECT
        if DYNAMIC_PAMT and paired(m) and want == PageType.NDA and level == 2 and type_at(m, page, level) == PageType.NDA:
            status = TDX_MISSING_PAMT_PAGE_PAIR
    elif type_at(m, page, level) != want or (target == 2 and not range_is_free(m, range_of(m, page))):
        status = TDX_PAGE_METADATA_INCORRECT
    if status == TDX_SUCCESS:
        return status
    unlock_walk(m, page, level, exclusive)
    return refuse(m, status, operand)


def type_at(m, page: Pfn, level: Level):
    """The type in the PAMT entry of a page at a level."""
    if WHOLE and level == 3:
        return m.gig[gig_of(page)].type
    if WHOLE and level == 2:
        return m.pamt[range_of(m, page)].type
    return m.frame[page].type


def range_is_free(m, r: RangeId):
    """Whether no 4K page of a range is in use or in the PAMT page bitmap."""
    first = u64(r) * ENTRIES
    for i in range(ENTRIES):
        if m.frame[Pfn(first + i)].type != PageType.NDA:
            return False
    return True


def owner_at(m, page: Pfn, level: Level):
    """The TD that owns a page of this size, which is not free, or whose TDR it is."""
    if not WHOLE:
        return m.frame[page].owner
    if level == 1 and m.frame[page].type == PageType.TDR:
        return td_of(m, page)
    return td_of(m, tdr_at(m, page, level))


def tdr_at(m, page: Pfn, level: Level):
    """OWNER of a page of this size in the whole module: the TDR of the TD that has it, or had it last."""
    if level == 3:
        return m.gig[gig_of(page)].owner
    if level == 2:
        return m.pamt[range_of(m, page)].large.owner
    return m.frame[page].owner


def td_of(m, tdr: Pfn):
    """The TD of a TDR in the whole module."""
    return VmId(m.frame[tdr].owner)


def bepoch_at(m, page: Pfn, level: Level):
    """BEPOCH of a page of this size."""
    if WHOLE and level == 3:
        return m.gig[gig_of(page)].bepoch
    if WHOLE and level == 2:
        return m.pamt[range_of(m, page)].large.bepoch
    return m.frame[page].bepoch


def set_bepoch(m, page: Pfn, level: Level, epoch: Epoch):
    """Notes the epoch in which a page of this size was blocked; no lock is taken."""
    if WHOLE and level == 3:
        m.gig[gig_of(page)].bepoch = epoch
    elif WHOLE and level == 2:
        m.pamt[range_of(m, page)].large.bepoch = epoch
    else:
        m.frame[page].bepoch = epoch


def lock_page(m, page: Pfn, operand: u8):
    """A page that the host hands in at 4K, which must be free."""
    if WHOLE:
        return explicit(m, page, operand, PageType.NDA, Level(1), True)
    if DYNAMIC_PAMT:
        entry = m.pamt[range_of(m, page)]
        if not try_shared(entry.lock):
            return TDX_OPERAND_BUSY
        if entry.type != PageType.PAMT or held_by_module(m, page):
            release_shared(entry.lock)
            return TDX_MISSING_PAMT_PAGE_PAIR if entry.type == PageType.NDA else TDX_PAGE_METADATA_INCORRECT
    elif held_by_module(m, page):
        return TDX_PAGE_METADATA_INCORRECT
    return TDX_SUCCESS


def unlock_page(m, page: Pfn):
    """Releases what `lock_page` took."""
    if WHOLE:
        unlock_walk(m, page, Level(1), True)
    elif DYNAMIC_PAMT:
        release_shared(m.pamt[range_of(m, page)].lock)


def lock_implicit(m, page: Pfn, level: Level):
    """A page that an S-EPT entry names: its PAMT entry alone, exclusive; whether that was possible."""
    if WHOLE and level == 3:
        return try_exclusive(m.gig[gig_of(page)].lock)
    if WHOLE and level == 2:
        return try_exclusive(m.pamt[range_of(m, page)].lock)
    if WHOLE:
        return try_exclusive(m.frame[page].lock)
    return True


def unlock_implicit(m, page: Pfn, level: Level):
    """Releases what `lock_implicit` took."""
    if WHOLE and level == 3:
        release_exclusive(m.gig[gig_of(page)].lock)
    elif WHOLE and level == 2:
        release_exclusive(m.pamt[range_of(m, page)].lock)
    elif WHOLE:
        release_exclusive(m.frame[page].lock)


def assign(m, page: Pfn, level: Level, of: Role, to: PageType, owner: VmId):
    """A free page becomes the module's, with its type and owner. The host's custody is checked where there is a host."""
    if WHOLE and level == 3:
        gig = m.gig[gig_of(page)]
        gig.type = to
        gig.owner = m.td[owner].tdr
        gig.bepoch = 0
    elif WHOLE and level == 2:
        entry = m.pamt[range_of(m, page)]
        entry.type = to
        entry.large.owner = m.td[owner].tdr
        entry.large.bepoch = 0
    elif WHOLE:
        frame = m.frame[page]
        frame.type = to
        frame.owner = Pfn(u64(owner)) if to == PageType.TDR else m.td[owner].tdr
        frame.bepoch = 0
        count_page(m, page)
    else:
        gift(m, page, of, to, owner)
        count_page(m, page)


def release(m, page: Pfn, level: Level):
    """A page becomes free. The whole module writes only the type; the count of its range follows with `uncount_page`."""
    if WHOLE and level == 3:
        m.gig[gig_of(page)].type = PageType.NDA
    elif WHOLE and level == 2:
        m.pamt[range_of(m, page)].type = PageType.NDA
    elif WHOLE:
        m.frame[page].type = PageType.NDA
    else:
        give_back(m, page)


def count_page(m, page: Pfn):
    """A page is in use at 4K."""
    commutes("the module counts with atomic additions, and who needs zero holds the range exclusively")
    if DYNAMIC_PAMT and paired(m):
        m.pamt[range_of(m, page)].count += 1


def uncount_page(m, page: Pfn):
    """A page is no longer in use at 4K; whether it was the last of its range, which Linux ignores."""
    commutes("the module counts with atomic additions, and who needs zero holds the range exclusively")
    if DYNAMIC_PAMT and paired(m):
        entry = m.pamt[range_of(m, page)]
        entry.count -= 1
        return entry.count == 0
    return False


@process
def locate(m, page: Pfn):
    """Before a page is handed in at 4K: where it lies, which with static PAMT nobody can tell."""
    if DYNAMIC_PAMT:
        yield from place(m, page)
