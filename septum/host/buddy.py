"""The page allocator of a machine of real size: free blocks of 2^order pages in lists, by zone; mm/page_alloc.c [6.16].

A zone is the memory of a NUMA node. Lists of a CPU (pcp) are left out, and migrate types: all pages of a TD are unmovable.
"""

from septum.host.geometry import PAGES, Pfn
from septum.lang import Index, Size, Slot, Struct, u8, u32, u64

BUDDY = Size("BUDDY", 0)  # pages come from these lists; 0: any free page will do, as in a check
ORDERS = Size("ORDERS", 11)  # MAX_PAGE_ORDER + 1
ZONES = Size("ZONES", 1)
FRAME_BLOCK = Slot("frame.block")
MEMORY = Slot("machine.memory")

Order = Index("Order", ORDERS)
ZoneId = Index("ZoneId", ZONES)


class FreeBlock(Struct):
    """Of the first page of a free block: page->buddy_list and buddy_order()."""

    next: Pfn
    previous: Pfn
    order: u8  # plus one; 0: no free block begins here


class FreeArea(Struct):
    """struct free_area."""

    first: Pfn
    blocks: u32


class Zone(Struct):
    """struct zone: pages `begin` to the one before `end`."""

    begin: u64
    end: u64
    free: u32  # pages
    area: FreeArea[Order]


class Memory(Struct):
    """All zones, the nearest first."""

    zone: Zone[ZoneId]


def rmqueue(m):
    """rmqueue(): a page of the smallest free block, of the first zone that has one; 0 if none has."""
    for zone in range(ZONES):
        if m.memory.zone[ZoneId(zone)].free != 0:
            for order in range(ORDERS):
                page = m.memory.zone[ZoneId(zone)].area[Order(order)].first
                if page != 0:
                    unlink_block(m, ZoneId(zone), page)
                    expand(m, ZoneId(zone), page, Order(order))
                    return page
    return Pfn(0)


def expand(m, zone: ZoneId, page: Pfn, order: Order):
    """expand(): the upper halves of a block of which one page is taken stay free."""
    at = Order(order)
    while at != 0:
        at = Order(at - 1)
        link_block(m, zone, Pfn(u64(page) + (1 << at)), at)


def free_one_page(m, page: Pfn, order: Order):
    """__free_one_page(): a block is free, and merges with its buddies as long as they are."""
    zone = zone_of(m, page)
    head = u64(page)
    at = Order(order)
    while at + 1 < ORDERS:
        other = head ^ (1 << at)
        if other >= PAGES or m.frame[Pfn(other)].block.order != at + 1:
            break
        unlink_block(m, zone, Pfn(other))
        head = u64(min(head, other))
        at = Order(at + 1)
    link_block(m, zone, Pfn(head), at)


def zone_of(m, page: Pfn):
    """page_zone()."""
    found = ZoneId(0)
    for zone in range(ZONES):
        if m.memory.zone[ZoneId(zone)].begin <= u64(page) and u64(page) < m.memory.zone[ZoneId(zone)].end:
            found = ZoneId(zone)
    return found


def link_block(m, zone: ZoneId, page: Pfn, order: Order):
    """add_to_free_list(): in front, so that the page freed last is taken first."""
    area = m.memory.zone[zone].area[order]
    if area.first != 0:
        m.frame[area.first].block.previous = page
    m.frame[page].block.next = area.first
    m.frame[page].block.previous = 0
    m.frame[page].block.order = u8(order + 1)
    area.first = page
    area.blocks += 1
    m.memory.zone[zone].free += 1 << order


def unlink_block(m, zone: ZoneId, page: Pfn):
    """del_page_from_free_list()."""
    block = m.frame[page].block
    order = Order(block.order - 1)
    area = m.memory.zone[zone].area[order]
    if block.previous != 0:
        m.frame[block.previous].block.next = block.next
    else:
        area.first = block.next
    if block.next != 0:
        m.frame[block.next].block.previous = block.previous
    area.blocks -= 1
    m.memory.zone[zone].free -= 1 << order
    block.order = 0
    block.next = 0
    block.previous = 0
