"""The benchmark protocol: a toy of the mirror fault path, at the granularity at which every checker runs it."""

from __future__ import annotations

from septum.lang import (
    Enum,
    Index,
    Model,
    Scenario,
    Setup,
    Size,
    Struct,
    Word,
    alike,
    array,
    atomic,
    boolean,
    call,
    each,
    process,
    u8,
    when,
)

THREADS = Size("THREADS", 2)
NP = Size("NP", 12)
Cpu = Index("Cpu", THREADS)
Pfn = Index("Pfn", NP, none=True, scalarset=True, first=3)
ROOT, LEAF_LEVEL = 1, 2
NONP, FROZEN, PRESENT = 1, 2, 3


class Role(Enum):
    """What a page is used for."""

    FREE = 0
    MIRROR_TABLE = 2
    SEPT_PAGE = 3
    RESERVED = 9


class Sept(Enum):
    """The state of an S-EPT entry."""

    FREE = 0
    MAPPED = 1
    BLOCKED = 2


class Entry(Word):
    """A mirror entry: NONP, FROZEN, or PRESENT with a table or a leaf's GFN; 0 in a page that is no mirror table."""

    state: u8
    child: Pfn
    gfn: u8


class Page(Struct):
    """A page, with the entries it holds as a mirror table and as an S-EPT page."""

    state: Role
    ext_of: Pfn
    spt: Entry[2]
    sept: array(Sept, 2)


class Stack(Struct):
    """A thread's stock of pages; an empty slot holds 0."""

    page: Pfn[4]


class World(Struct):
    """The whole state but for where the threads stand."""

    page: Page[Pfn]
    spt: Stack[Cpu]
    ext: Stack[Cpu]
    writer: u8
    reading: boolean[Cpu]
    seq: u8
    inval: u8


def filled(stack: Stack) -> u8:
    n: u8 = 0
    while n < 4 and stack.page[n] != 0:
        n = u8(n + 1)
    return n


def alloc(w: World, role: Role) -> Pfn:
    for page in each(Pfn):
        alike("free pages are all zero, and nobody names one")
        atomic("the allocator has a lock of its own")
        if w.page[page].state == Role.FREE:
            w.page[page].state = role
            return page
    return 0


def free(w: World, page: Pfn):
    p = w.page[page]
    assert p.state != Role.FREE, f"custody: page {page} is freed twice"
    p.state = Role.FREE
    for i in range(2):
        p.spt[i].state = 0
        p.spt[i].child = 0
        p.spt[i].gfn = 0
        p.sept[i] = Sept.FREE


def is_read(w: World):
    found = False
    for t in each(Cpu):
        if w.reading[t]:
            found = True
    return found


def index(gfn: u8, level: u8) -> u8:
    return (gfn >> (LEAF_LEVEL - level)) & 1


def entry(w: World, sp: Pfn, gfn: u8, level: u8):
    return w.page[sp].spt[index(gfn, level)]


def take(stack: Stack) -> Pfn:
    n = filled(stack)
    page = stack.page[n - 1]
    stack.page[n - 1] = 0
    return page


@process
def fault(w: World, t: Cpu, gfn: u8):
    while True:
        seq0 = w.seq
        while filled(w.spt[t]) < 2:
            yield
            p = alloc(w, Role.MIRROR_TABLE)
            if p == 0:
                return
            for i in range(2):
                w.page[p].spt[i].state = NONP
            w.spt[t].page[filled(w.spt[t])] = p
        while filled(w.ext[t]) < 2:
            yield
            p = alloc(w, Role.SEPT_PAGE)
            if p == 0:
                return
            w.ext[t].page[filled(w.ext[t])] = p
        yield when(lambda: w.writer == 0)
        atomic("the lock is taken, and the sequence read under it, in one step of the protocol")
        if w.inval != 0 or w.seq != seq0:
            continue
        w.reading[t] = True
        again = yield from walk(w, t, gfn)
        yield
        atomic("the sequence, where it is read next, is looked at again under the lock")
        w.reading[t] = False
        if not again:
            return


@process
def walk(w: World, t: Cpu, gfn: u8):
    sp: Pfn = ROOT
    for level in range(2):
        yield
        e = entry(w, sp, gfn, level)
        if e.state == FROZEN:
            return True
        if e.state == NONP:
            c = take(w.spt[t])
            x = take(w.ext[t])
            w.page[c].ext_of = x
            lost = yield from link(w, gfn, level, sp, c, x)
            if lost:
                return True
            sp = c
        else:
            sp = e.child
    yield
    e = entry(w, sp, gfn, LEAF_LEVEL)
    if e.state == FROZEN:
        return True
    if e.state == PRESENT:
        return False
    return (yield from leaf(w, gfn, sp))


@process
def link(w: World, gfn: u8, level: u8, sp: Pfn, c: Pfn, x: Pfn):
    yield
    atomic("a page that is freed a little later is missed by nobody, as the lost entry is not looked at again")
    e = entry(w, sp, gfn, level)
    if e.state != NONP:
        free(w, c)
        free(w, x)
        w.page[c].ext_of = 0
        return True
    e.state = FROZEN
    yield
    i = index(gfn, level)
    ext = w.page[sp].ext_of
    assert w.page[ext].sept[i] == Sept.FREE
    w.page[ext].sept[i] = Sept.MAPPED
    yield
    done = entry(w, sp, gfn, level)
    done.state = PRESENT
    done.child = c
    return False


@process
def leaf(w: World, gfn: u8, sp: Pfn):
    yield
    e = entry(w, sp, gfn, LEAF_LEVEL)
    if e.state != NONP:
        return True
    e.state = FROZEN
    yield
    i = index(gfn, LEAF_LEVEL)
    ext = w.page[sp].ext_of
    assert w.page[ext].sept[i] == Sept.FREE
    w.page[ext].sept[i] = Sept.MAPPED
    yield
    done = entry(w, sp, gfn, LEAF_LEVEL)
    done.state = PRESENT
    done.gfn = gfn
    return False


@process
def zap(w: World, gfn: u8):
    for _again in range(2):
        yield when(lambda: w.writer == 0 and not is_read(w))
        atomic("nobody reads without the lock, but for the sequence, which is read again under it")
        w.writer = 1
        w.inval = 1
        w.seq += 1
        sp: Pfn = ROOT
        for level in range(LEAF_LEVEL):
            if sp != 0:
                e = entry(w, sp, gfn, level)
                sp = e.child if e.state == PRESENT else 0
        if sp != 0 and entry(w, sp, gfn, LEAF_LEVEL).state == PRESENT:
            yield
            i = index(gfn, LEAF_LEVEL)
            assert w.page[w.page[sp].ext_of].sept[i] == Sept.MAPPED
            w.page[w.page[sp].ext_of].sept[i] = Sept.BLOCKED
            yield
            ext = w.page[sp].ext_of
            w.page[ext].sept[index(gfn, LEAF_LEVEL)] = Sept.FREE
            z = entry(w, sp, gfn, LEAF_LEVEL)
            z.state = NONP
            z.gfn = 0
        w.inval = 0
        w.writer = 0
        yield


def prepare(s: Setup, faults: tuple[int, ...], zaps: tuple[int, ...] = ()) -> None:
    page = s.m.page
    page[0].state = Role.RESERVED
    page[ROOT].state = Role.MIRROR_TABLE
    page[ROOT].ext_of = 2
    page[2].state = Role.SEPT_PAGE
    for i in range(2):
        page[ROOT].spt[i].state = NONP
    for t, gfn in enumerate(faults):
        s.thread(f"vCPU {t}", call(fault, t, gfn))
    for gfn in zaps:
        s.thread("zap", call(zap, gfn))


model = Model(
    "mirror_fault",
    World,
    (
        Scenario("A", "two faults on one GFN", lambda s: prepare(s, (0, 0)), bindings={THREADS: 2}),
        Scenario("B", "two faults and a zap", lambda s: prepare(s, (0, 1), (0,)), bindings={THREADS: 3}),
        Scenario("C", "three faults", lambda s: prepare(s, (0, 1, 2)), bindings={THREADS: 3}),
        Scenario("D", "three faults and a zap", lambda s: prepare(s, (0, 1, 2), (1,)), bindings={THREADS: 4}),
    ),
)
