"""Tables, entries and roots: made, found, written and freed."""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Level
from septum.lang import each, u8, u16, u64
from septum.replay.traced.followed import ANY_SPACE, ENTRIES, TABLES, Followed, RootId, Sept, TableId, TaskId
from septum.replay.traced.layout import ENTRIES_SHIFT, UNKNOWN, Word, fixed_unseen, same_but_hardware, small_spte, word_of


def index_of(gfn, level: Level):
    """SPTE_INDEX(): which entry of its table at `level` translates `gfn`."""
    return (gfn >> (ENTRIES_SHIFT * Level(level - 1))) & 511


def first_gfn(gfn, level: Level):
    """gfn_round_for_level() [6.1]."""
    return gfn ^ (gfn & ((1 << (ENTRIES_SHIFT * Level(level - 1))) - 1))


def table_gfn(gfn, level: Level):
    """The first GFN that a table at `level` translates."""
    return gfn ^ (gfn & ((1 << (ENTRIES_SHIFT * level)) - 1))


def new_table(m: Followed, pfn, gfn, level: Level, known):
    """A table that nothing points to yet; its entries are non-present, or unknown."""
    if m.free != 0:
        table = m.free
        m.free = m.table[table].next_free
    else:
        assert m.used + 1 < TABLES, "more tables than septum can follow"
        m.used = m.used + 1
        table = TableId(m.used)
    m.tables = m.tables + 1
    t = m.table[table]
    t.pfn = pfn
    t.gfn = table_gfn(gfn, level)
    t.level = level
    t.parent = 0
    t.slot = 0
    t.epoch = m.epoch
    t.remover = 0
    t.next_free = 0
    value = SHADOW_NONPRESENT_VALUE if known else UNKNOWN
    for i in range(ENTRIES):
        m.words[table].word[i] = value
    t.mirror = False
    t.running = False
    if m.traced.calls != 0:
        for i in range(ENTRIES):
            m.external[table].state[i] = Sept.FREE if known else Sept.UNKNOWN
    if level != 1:
        for i in range(ENTRIES):
            m.child[table].table[i] = 0
    return table


def free_table(m: Followed, table: TableId):
    """The number of a table may be used again; who removes it has nothing to go on with."""
    if m.table[table].remover != 0:
        abandon(m, m.table[table].remover, table)
    m.table[table].next_free = m.free
    m.table[table].level = 0
    m.free = table
    m.tables = m.tables - 1


def abandon(m: Followed, task: TaskId, table: TableId):
    """A task's removal of a table, and those within it, end without their events."""
    k = m.task[task]
    found = False
    for d in range(k.depth):
        found = found or k.removal[d].table == table
    while found and k.depth != 0:
        k.depth = u8(k.depth - 1)
        found = k.removal[k.depth].table != table
        end_removal(m, task)
    k.blind = True


def end_removal(m: Followed, task: TaskId):
    """The removal behind a task's last is over."""
    k = m.task[task]
    m.table[k.removal[k.depth].table].remover = 0
    k.removal[k.depth].table = 0
    m.removals = m.removals - 1


def first_child(m: Followed, table: TableId):
    """Any table below a table."""
    if m.table[table].level != 1:
        for i in range(ENTRIES):
            if m.child[table].table[i] != 0:
                return m.child[table].table[i]
    return TableId(0)


def forget(m: Followed, table: TableId):
    """A table, and all below it, went without an event: its leaves are not mapped any more."""
    at = table
    while at != 0:
        below = first_child(m, at)
        if below != 0:
            at = below
        else:
            above = m.table[at].parent if at != table else TableId(0)
            for i in range(ENTRIES):
                store(m, at, i, UNKNOWN)
            detach(m, at)
            free_table(m, at)
            at = above


def attach(m: Followed, parent: TableId, slot, table: TableId):
    """`table` is the child of an entry."""
    m.child[parent].table[slot] = table
    m.table[table].parent = parent
    m.table[table].slot = u16(slot)
    m.table[table].mirror = m.table[parent].mirror


def detach(m: Followed, table: TableId):
    """No entry points to `table` any more."""
    parent = m.table[table].parent
    if parent != 0:
        m.child[parent].table[m.table[table].slot] = 0
    m.table[table].parent = 0


def store(m: Followed, table: TableId, i, value):
    """Writes an entry, and counts what is mapped and linked by level."""
    level = m.table[table].level
    before = word_of(m, m.words[table].word[i], level)
    after = word_of(m, value, level)
    if before == Word.LEAF and m.mapped[level] != 0:
        m.mapped[level] = m.mapped[level] - 1
    if after == Word.LEAF:
        m.mapped[level] = m.mapped[level] + 1
    if before == Word.TABLE and m.linked[level] != 0:
        m.linked[level] = m.linked[level] - 1
    if after == Word.TABLE:
        m.linked[level] = m.linked[level] + 1
    m.words[table].word[i] = value


def word(m: Followed, table: TableId, i):
    """An entry of a table; unknown if events were lost since it was written."""
    if m.table[table].epoch != m.epoch:
        m.table[table].epoch = m.epoch
        for other in range(ENTRIES):
            if m.words[table].word[other] != UNKNOWN:
                store(m, table, other, UNKNOWN)
            m.external[table].state[other] = Sept.UNKNOWN
    return m.words[table].word[i]


def kind_at(m: Followed, table: TableId, i):
    """What an entry of a table is."""
    held = word(m, table, i)
    return word_of(m, held, m.table[table].level)


def fill_split(m: Followed, table: TableId, huge, level: Level):
    """split_huge_page() [6.1]: the 512 children, which have no events; kvm-mmu.md 4.12."""
    for i in range(ENTRIES):
        m.words[table].word[i] = u64(small_spte(m, huge, level, i))
    below = Level(level - 1)
    m.mapped[below] = m.mapped[below] + ENTRIES


def walk(m: Followed, root: RootId, gfn, level: Level):
    """The table of a root that holds the entry of `gfn` at `level`; 0 if there is none.

    In the middle of a VM's life tables are made up below entries that are unknown.
    """
    table = m.root[root].table
    at = m.root[root].levels
    while table != 0 and at > level:
        i = index_of(gfn, at)
        child = m.child[table].table[i]
        if child == 0 and m.midlife and word(m, table, i) == UNKNOWN:
            child = new_table(m, 0, gfn, Level(at - 1), False)
            attach(m, table, i, child)
        table = child
        at = Level(at - 1)
    return table if at == level else TableId(0)


def walk_known(m: Followed, root: RootId, gfn, level: Level):
    """As walk, without making up tables."""
    table = m.root[root].table
    at = m.root[root].levels
    while table != 0 and at > level:
        table = m.child[table].table[index_of(gfn, at)]
        at = Level(at - 1)
    return table if at == level else TableId(0)


def matches(m: Followed, table: TableId, i, old):
    """Whether an event that saw `old` may be about this entry."""
    held = word(m, table, i)
    if held == UNKNOWN or same_but_hardware(m, held, old):
        return True
    return not m.traced.fast and m.table[table].level != 5 and same_but_hardware(m, fixed_unseen(m, held), old)


def is_empty(m: Followed, table: TableId):
    """Whether no entry of a table is present or unknown."""
    for i in range(ENTRIES):
        if m.words[table].word[i] != SHADOW_NONPRESENT_VALUE:
            return False
    return True


def new_root(m: Followed, task: TaskId, levels: Level, known):
    """kvm_tdp_mmu_alloc_root() [6.1]. Nothing tells when a root is freed: an empty one, or the oldest, makes room."""
    place = RootId(0)
    oldest = RootId(1)
    for r in each(RootId):
        if place == 0 and m.root[r].table == 0:
            place = RootId(r)
        if m.root[r].born < m.root[oldest].born:
            oldest = RootId(r)
    if place == 0:
        for r in each(RootId):
            if place == 0 and is_empty(m, m.root[r].table):
                place = RootId(r)
    if place == 0:
        place = oldest
    if m.root[place].table != 0:
        forget(m, m.root[place].table)
    else:
        m.roots = m.roots + 1
    m.births = m.births + 1
    m.root[place].table = new_table(m, 0, 0, levels, known)
    m.root[place].levels = levels
    m.root[place].as_id = ANY_SPACE
    m.root[place].vm = m.task[task].vm
    m.root[place].pid = m.task[task].pid
    m.root[place].invalid = False
    m.root[place].born = m.births
    m.root[place].midlife = not known
    return place


def unseen_root(m: Followed):
    """The root of a VM that ran before the trace began; made up when its first event comes."""
    e = m.event
    vm = m.task[e.task].vm
    for r in each(RootId):
        if m.root[r].midlife and m.root[r].table != 0 and m.root[r].vm == vm:
            if m.root[r].as_id == ANY_SPACE or m.root[r].as_id == e.as_id:
                return RootId(r)
    levels = Level(5 if e.level == 5 or e.gfn >> 36 != 0 else 4)
    return new_root(m, e.task, levels, False)
