"""The page tables of traced VMs at real geometry, as the events of a trace built them; one word for each SPTE.

Tables are numbered as they come; a number is used again when its table is gone, so memory follows the tables that are mapped.
Words start as UNKNOWN: a trace that begins in the middle of a VM's life fills them in.
"""

from septum.host.entry import SHADOW_NONPRESENT_VALUE
from septum.host.geometry import Level
from septum.kvm.events import Guard, Kind, Step
from septum.kvm.layout import ENTRIES_SHIFT, UNKNOWN, Layout, Word, same_but_hardware, small_spte, word_of
from septum.lang import Index, Size, Struct, array, each, u8, u16, u32, u64

TABLES = Size("TABLES", 1 << 20)
TASKS = Size("TASKS", 1 << 12)
ROOTS = Size("ROOTS", 64)
TableId = Index("TableId", TABLES, none=True)
TaskId = Index("TaskId", TASKS, none=True)
RootId = Index("RootId", ROOTS, none=True)
ENTRIES = 512
MAX_LEVEL = 5
ANY_SPACE = 255  # a root whose address space no event has told yet
STEPS, GUARDS = 40, 64


class Event(Struct):
    """The event that is followed. Fields that its kind does not have are 0."""

    kind: Kind
    as_id: u8
    level: Level
    failed: bool  # a split with an errno, a fast page fault that did not fix
    task: TaskId
    gfn: u64
    pfn: u64
    old: u64
    new: u64
    sptep: u64  # its address, where that is known
    vcpu: u16  # its number and 1; 0 if the event has none


class Traced(Struct):
    """The events that were recorded at all: what they would tell is only asked for then."""

    requested: bool
    set_spte: bool
    get_page: bool
    zap_page: bool
    split: bool


class Removal(Struct):
    """handle_removed_pt() in progress: a table whose entries one task freezes, in order."""

    table: TableId
    next: u16
    announced: bool  # kvm_mmu_prepare_zap_page was seen
    unlinked: bool  # the event of its parent was seen
    shared: bool  # mmu_lock is held for read: non-present entries are traced as well
    skipped: bool  # mmu_lock is held for write: non-present entries are not traced
    first: u64  # the first present entry that it had


class Task(Struct):
    """What a thread of the kernel is in the middle of."""

    vm: u32
    vcpu: u16
    root: RootId
    blind: bool  # its first events are missing
    faulting: bool
    gfn: u64
    pfn: u64
    goal: Level
    has_page: bool  # kvm_mmu_get_page, not linked yet
    page_level: Level
    page_gfn: u64
    owes_set: bool  # the next event is kvm_mmu_set_spte
    owes_split: bool  # the next event is kvm_mmu_split_huge_page
    owed_level: Level
    owed_gfn: u64
    owed: u64
    depth: u8
    removal: Removal[MAX_LEVEL]


class Words(Struct):
    """A page of 512 SPTEs."""

    word: u64[ENTRIES]


class Children(Struct):
    """The tables that the entries of a table point to."""

    table: array(TableId, ENTRIES)


class Table(Struct):
    """struct kvm_mmu_page, as far as a trace shows it."""

    pfn: u64  # 0: unknown
    gfn: u64
    level: Level  # of its entries
    parent: TableId
    slot: u16
    epoch: u32
    next_free: TableId


class Root(Struct):
    """A root: the page at the top of a tree."""

    table: TableId
    levels: Level
    as_id: u8
    vm: u32
    born: u64
    midlife: bool  # it was there before the trace


class Followed(Struct):
    """Everything that is known after an event."""

    layout: Layout
    event: Event
    midlife: bool  # the trace began, or events were lost, while VMs were running
    epoch: u32
    traced: Traced
    at: TableId
    index: u16
    entry_gfn: u64
    roots: u32
    births: u64
    removals: u32
    learned: u64
    hardware: u64  # old values with A or D that a CPU set
    in_removed: u64  # changes of tables that another task was removing
    unfrozen: u64  # frozen entries that became non-present without an event
    ambiguous: u64  # events that several roots could explain
    tables: u32
    used: u32
    free: TableId
    mapped: u64[6]
    linked: u64[6]
    step: Step
    guard: Guard
    task: Task[TaskId]
    root: Root[RootId]
    table: Table[TableId]
    child: Children[TableId]
    words: Words[TableId]


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
    t.next_free = 0
    value = SHADOW_NONPRESENT_VALUE if known else UNKNOWN
    for i in range(ENTRIES):
        m.words[table].word[i] = value
    if level != 1:
        for i in range(ENTRIES):
            m.child[table].table[i] = 0
    return table


def free_table(m: Followed, table: TableId):
    """The number of a table may be used again."""
    m.table[table].next_free = m.free
    m.table[table].level = 0
    m.free = table
    m.tables = m.tables - 1


def attach(m: Followed, parent: TableId, slot, table: TableId):
    """`table` is the child of an entry."""
    m.child[parent].table[slot] = table
    m.table[table].parent = parent
    m.table[table].slot = u16(slot)


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
    return m.words[table].word[i]


def kind_at(m: Followed, table: TableId, i):
    """What an entry of a table is."""
    held = word(m, table, i)
    return word_of(m, held, m.table[table].level)


def fill_split(m: Followed, table: TableId, huge, level: Level):
    """split_huge_page() [6.1]: the 512 children, which have no events; kvm-mmu.md 4.12."""
    for i in range(ENTRIES):
        m.words[table].word[i] = u64(small_spte(huge, level, i))
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


def matches(m: Followed, table: TableId, i, old):
    """Whether an event that saw `old` may be about this entry."""
    held = word(m, table, i)
    return held == UNKNOWN or same_but_hardware(m, held, old)


def root_of(m: Followed, table: TableId):
    """The root above a linked table; 0 above one that was removed."""
    top = table
    while m.table[top].parent != 0:
        top = m.table[top].parent
    for r in each(RootId):
        if m.root[r].table == top:
            return RootId(r)
    return RootId(0)


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
        free_table(m, m.root[place].table)
    else:
        m.roots = m.roots + 1
    m.births = m.births + 1
    m.root[place].table = new_table(m, 0, 0, levels, known)
    m.root[place].levels = levels
    m.root[place].as_id = ANY_SPACE
    m.root[place].vm = m.task[task].vm
    m.root[place].born = m.births
    m.root[place].midlife = not known
    return place
