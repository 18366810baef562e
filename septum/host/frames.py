"""Page frames: who holds a page, the page allocator, and the TDX module's metadata of a page.

Custody: a page has one role at a time. Every move from one holder to another asserts where the page came from, so a
page freed twice, used after its free or held by two is found at the move, in the step that makes it.
"""

from septum.host.buddy import BUDDY, FRAME_BLOCK, Order, free_one_page, rmqueue
from septum.host.cpu import context, might_sleep
from septum.host.entry import POISON, SHADOW_NONPRESENT_VALUE, Entry
from septum.host.geometry import ENTRIES, Epoch, Pfn, RangeId, VmId
from septum.lang import (
    MEASURING,
    Enum,
    Meter,
    Size,
    Slot,
    Struct,
    Witness,
    alike,
    commutes,
    each,
    observe,
    origin,
    reached,
    u8,
    u16,
    u64,
)

allocation_failed = Witness("allocation_failed", "a page allocation failed")

allocated = Meter("allocated", "a page was allocated: Gfp, Content, the CPU's context")
moved = Meter("moved", "a page changed hands: its Role, and the one before")
used = Meter("used", "a page became what it was allocated for: the line that allocated it, its Role")
freed = Meter("freed", "a page was freed: the line that allocated it, its Role")

CHECKS_CONTENTS = Size("CHECKS_CONTENTS", 0)  # what pages hold is followed: private data, and lines in caches
FRAME_CACHE = Slot("frame.cache")
PW_MCE = Size("PW_MCE", 0)  # X86_BUG_TDX_PW_MCE: memory that was private poisons the host's partial writes until it is rewritten
FRAME_MEMORY = Slot("frame.memory")


class Role(Enum):
    """Who holds a page, on the host's side; HAND is a local variable of a thread."""

    FREE = 0
    HAND = 1
    POOL = 2  # waits in a cache or list
    SPT = 3  # sp->spt, a mirror table
    EXTERNAL = 4  # sp->external_spt, which the module may hold as a Secure EPT page
    PAIR = 5  # a page of a PAMT pair that the module holds
    GUEST = 6  # a page of guest_memfd, which the module may hold as private memory
    CONTROL = 7  # TDR and TDCS pages
    LEAKED = 8  # given up for good, and the kernel says so: the module did not give it back


ROLES = 16
"""What a role is multiplied with, or added to, where a meter tells two numbers in one."""


class PageType(Enum):
    """What the TDX module says of a page, tdx-module.md 2.2."""

    NDA = 0
    RSVD = 1
    REG = 3
    TDR = 4
    TDCX = 5
    TDVPR = 6
    EPT = 8
    PAMT = 15


class Content(Enum):
    """What a page holds when its holder gets it."""

    UNDEFINED = 0
    ZEROED = 1  # __GFP_ZERO
    NONPRESENT = 2  # kvm_mmu_memory_cache.init_value


class Gfp(Enum):
    """The context that an allocation may use, and whether the page is charged to the VM."""

    KERNEL = 0
    KERNEL_ACCOUNT = 1
    ATOMIC_ACCOUNT = 2


class CacheLines(Struct):
    """What the caches may hold of a page: lines with the private key of a TD, which would corrupt what the host writes."""

    private: bool


class WrittenPrivately(Struct):
    """What the memory itself holds of a page on a CPU with the erratum."""

    private: bool


class PageFrame(Struct):
    """struct page as far as custody needs it, and the page's 4K PAMT entry (type, owner, bepoch)."""

    role: Role
    refcount: u8  # of a GUEST page: guest_memfd, and faults in flight
    range: RangeId  # the 2M range it lies in; 0: not decided, nobody could tell yet
    type: PageType
    owner: VmId
    bepoch: Epoch
    cache: FRAME_CACHE
    memory: FRAME_MEMORY
    block: FRAME_BLOCK
    origin: u16  # in a build that measures: the line that allocated it, with which content and flags


class PageTable(Struct):
    """The content of a page, as a table."""

    word: Entry[ENTRIES]


def fill(m, page: Pfn, value):
    """Writes one value to every word of a page."""
    for i in range(ENTRIES):
        m.table[page].word[i] = value


def held_by_module(m, page: Pfn):
    """Whether the TDX module holds the page: as its own, as private memory at 4K or as part of a 2M page."""
    return m.frame[page].type != PageType.NDA


def take(m, page: Pfn, holder: Role, to: Role):
    """A page changes hands: from `holder`, which must be its role, to `to`."""
    commutes("only who holds a page hands it on; of two who both believe that they do, the second one fails here")
    assert m.frame[page].role == holder, f"custody: page {page} is {Role(m.frame[page].role)} where {holder} should hold it"
    m.frame[page].role = to
    if MEASURING:
        observe(moved, u64(to) * ROLES + u64(holder))
    if MEASURING and to not in (Role.HAND, Role.POOL, Role.LEAKED):
        observe(used, m.frame[page].origin * ROLES + u64(to))


def alloc_page(m, gfp: Gfp, content: Content):
    """alloc_page(): the lowest free page; they are interchangeable. A failure is injected by the caller."""
    commutes("the allocator has its own locks, and free pages are alike: who comes first gets another one, no better")
    if gfp != Gfp.ATOMIC_ACCOUNT:
        might_sleep(m)
    found = rmqueue(m) if BUDDY else any_free_page(m)
    assert found != 0, "scope: out of page frames, raise PAGES"
    m.frame[found].role = Role.HAND
    if MEASURING:
        observe(moved, u64(Role.HAND) * ROLES + u64(Role.FREE))
        m.frame[found].origin = u16((origin() * 4 + u64(content)) * 4 + u64(gfp))
        observe(allocated, (context(m) * 4 + u64(content)) * 4 + u64(gfp))
    if content == Content.NONPRESENT:
        fill(m, found, SHADOW_NONPRESENT_VALUE)
    elif not BUDDY:  # at real size nobody reads what is in such a page, and terabytes would be written
        fill(m, found, POISON if content == Content.UNDEFINED else 0)
    return found


def any_free_page(m):
    """The lowest free page; 0 if there is none."""
    found = Pfn(0)
    for page in each(Pfn):
        alike("free pages are alike: nothing is known of one, and no holder names it")
        if m.frame[page].role == Role.FREE:
            found = page
            break
    return found


def free_page(m, page: Pfn, holder: Role):
    """free_page(): `holder` gives the page back; it must be the holder, and the module must not have it."""
    frame = m.frame[page]
    assert frame.role != Role.FREE, f"custody: page {page} is freed twice"
    assert frame.role == holder, f"custody: page {page} is freed by {holder} while {Role(frame.role)} holds it"
    assert not held_by_module(m, page), f"custody: page {page} is freed while the TDX module holds it as {PageType(frame.type)}"
    assert frame.bepoch == 0 and frame.owner == 0, f"custody: page {page} is freed with metadata of the module"
    if CHECKS_CONTENTS:
        assert not frame.cache.private, f"contents: page {page} is freed with lines of a private key in the caches"
    if PW_MCE:
        assert not frame.memory.private, f"contents: page {page} is freed as the TDX module wrote it, on a CPU with the erratum"
    if frame.range != 0:
        lies_nowhere(m, page)
    frame.refcount = 0
    if MEASURING:
        observe(freed, frame.origin * ROLES + u64(holder))
        frame.origin = 0
    if MEASURING:
        observe(moved, u64(Role.FREE) * ROLES + u64(holder))
    if not BUDDY:
        fill(m, page, 0)
    frame.role = Role.FREE
    if BUDDY:
        free_one_page(m, page, Order(0))


def lies_nowhere(m, page: Pfn):
    """In which 2M range a page lies is not known any more."""
    commutes("the model asks anew where the page lies that is allocated next; no memory of the kernel says it")
    m.range[m.frame[page].range].placed -= 1
    m.frame[page].range = 0


def gift(m, page: Pfn, of: Role, to: PageType, owner: VmId):
    """The module takes a page that the host gave it; the host may not touch it until it is given back."""
    frame = m.frame[page]
    assert frame.role == of, f"custody: page {page} is given to the TDX module as {to} while {Role(frame.role)} holds it"
    assert not held_by_module(m, page), f"custody: page {page} is given to the TDX module twice"
    frame.type = to
    frame.owner = owner
    frame.bepoch = 0
    if CHECKS_CONTENTS and to in (PageType.REG, PageType.TDR):
        frame.cache.private = True
    if PW_MCE:
        frame.memory.private = True


def leak(m, page: Pfn, holder: Role):
    """A page that the module did not give back: `holder` gives it up, and nobody frees it."""
    take(m, page, holder, Role.LEAKED)


def leak_guest_page(m, page: Pfn):
    """The same of a page of guest_memfd: a reference keeps it, as until 6.18. What else may become of it is left out."""
    take(m, page, Role.GUEST, Role.LEAKED)
    m.frame[page].refcount += 1


def tdx_quirk_reset_paddr(m, page: Pfn):
    """tdx_quirk_reset_paddr() [6.18]: MOVDIR64B of zeros, once the module has given the page back; tdx-module.md 12."""
    assert not held_by_module(m, page), f"custody: page {page} is rewritten while the TDX module holds it"
    if PW_MCE:
        m.frame[page].memory.private = False


def give_back(m, page: Pfn):
    """The module gives a page back. Its owner and bepoch are stale then (tdx-module.md 2.2) and are cleared here."""
    m.frame[page].type = PageType.NDA
    m.frame[page].owner = 0
    m.frame[page].bepoch = 0


def ways_to_fail(m, allocations):
    """In how many ways `allocations` in a row may go: all succeed, or the k-th fails, while the scenario injects failures."""
    return 1 + (allocations if may_fail(m) else 0)


def may_fail(m):
    """Whether the scenario still injects failures."""
    commutes("what the scenario lets fail is no memory of the kernel")
    return m.failures != 0


def note_failure(m):
    """An injected failure is used up."""
    commutes("what the scenario lets fail is no memory of the kernel")
    m.failures -= 1
    reached(allocation_failed)


def get_page(m, page: Pfn):
    """folio_get()."""
    commutes("a counter that the holder of a reference makes larger is not zero before or after")
    held = m.frame[page].role in (Role.GUEST, Role.LEAKED)
    assert held, f"custody: a reference to page {page} is taken, which is {Role(m.frame[page].role)}"
    m.frame[page].refcount += 1


def put_page(m, page: Pfn):
    """folio_put(): the last reference frees the page."""
    commutes("the last put frees the page, whoever does it")
    assert m.frame[page].refcount != 0, f"custody: page {page} is put without a reference"
    m.frame[page].refcount -= 1
    if m.frame[page].refcount == 0:
        free_page(m, page, Role.GUEST)
