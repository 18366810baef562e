"""The page tables of traced VMs at real geometry, as the events of a trace built them; one word for each SPTE.

Tables are numbered as they come; a number is used again when its table is gone, so memory follows the tables that are mapped.
Words start as UNKNOWN: a trace that begins in the middle of a VM's life fills them in.
"""

from septum.host.geometry import Level
from septum.lang import Enum, Index, Size, Struct, array, u8, u16, u32, u64
from septum.replay.traced.events import Call, Guard, Kind, Step
from septum.replay.traced.layout import Layout

TABLES = Size("TABLES", 1 << 20)
TASKS = Size("TASKS", 1 << 12)
ROOTS = Size("ROOTS", 64)
TableId = Index("TableId", TABLES, none=True)
TaskId = Index("TaskId", TASKS, none=True)
RootId = Index("RootId", ROOTS, none=True)
ENTRIES = 512
MAX_LEVEL = 5
ANY_SPACE = 255  # a root whose address space no event has told yet


class Event(Struct):
    """The event that is followed. Fields that its kind does not have are 0."""

    kind: Kind
    call: Call
    as_id: u8
    level: Level
    failed: bool  # a split with an errno, a fast page fault that did not fix
    access: u8  # of a fast page fault: what the guest wanted, ACCESS_WRITE and ACCESS_FETCH
    spurious: bool  # a fast page fault that found the access allowed
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
    fast: bool
    calls: u16  # a bit for each Call


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
    pid: u32
    vcpu: u16
    root: RootId
    blind: bool  # its first events are missing
    faulting: bool
    gfn: u64
    pfn: u64
    goal: Level
    linked: bool  # a table, in this fault
    has_page: bool  # kvm_mmu_get_page, not linked yet
    page_level: Level
    page_gfn: u64
    owes_set: bool  # the next event is kvm_mmu_set_spte
    owes_split: bool  # the next event is kvm_mmu_split_huge_page
    owed_level: Level
    owed_gfn: u64
    owed: u64
    call: Call  # a SEAMCALL that succeeded, whose change is still to come
    owes_call: Call  # what has to follow a change
    tracked: bool  # TRACK since BLOCK
    call_level: Level
    call_gfn: u64
    call_pfn: u64
    depth: u8
    removal: Removal[MAX_LEVEL]


class Words(Struct):
    """A page of 512 SPTEs."""

    word: u64[ENTRIES]


class Children(Struct):
    """The tables that the entries of a table point to."""

    table: array(TableId, ENTRIES)


class Sept(Enum):
    """What the TDX module holds for an entry of a mirror table."""

    FREE = 0
    TABLE = 1
    MAPPED = 2
    BLOCKED = 3
    UNKNOWN = 4


class External(Struct):
    """The Secure EPT page of a mirror table."""

    state: array(Sept, ENTRIES)


class Table(Struct):
    """struct kvm_mmu_page, as far as a trace shows it."""

    pfn: u64  # 0: unknown
    gfn: u64
    level: Level  # of its entries
    mirror: bool
    running: bool  # of a mirror root: a page was added with AUG, so the TD is built
    parent: TableId
    slot: u16
    epoch: u32
    remover: TaskId  # the task that removes it
    next_free: TableId


class Root(Struct):
    """A root: the page at the top of a tree."""

    table: TableId
    levels: Level
    as_id: u8
    vm: u32
    pid: u32  # of the task that made it
    invalid: bool  # kvm_mmu_zap_all_fast came after it
    born: u64
    midlife: bool  # it was there before the trace


class Followed(Struct):
    """Everything that is known after an event."""

    layout: Layout
    event: Event
    midlife: bool  # the trace began, or events were lost, while VMs were running
    last_resort: bool  # nothing that was read ahead explains the event either
    epoch: u32
    traced: Traced
    at: TableId
    index: u16
    entry_gfn: u64
    roots: u32
    births: u64
    removals: u32
    learned: u64
    refixed: u64  # old values with W that a fast page fault set, which was not recorded
    hardware: u64  # old values with A or D that a CPU set
    in_removed: u64  # changes of tables that another task was removing
    unfrozen: u64  # frozen entries that became non-present without an event
    lowered: u64  # leaves below the level that their faults asked for
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
    external: External[TableId]
