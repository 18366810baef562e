/* Records in order, one after another to the model. What comes too early waits for the event of another CPU that it overtook.
 *
 * The ring holds the records that were followed last and those that were read ahead. Time stamps that go back between CPUs are put in order
 * within what was read ahead. An event that the model cannot explain may have overtaken another one: the kernel writes an SPTE first and
 * traces it then. So the first event of each other task on the same entry is looked for among those that were read ahead, and followed first.
 *
 * Offers replay_t; follow_record, one record to the model; lose_all, show, account and in_model. */

enum { RING = 1 << 15, AHEAD = 1 << 14, MASK = RING - 1, SAMPLES = 1024, STEP_KINDS = 48, ASKED = 4096 };
enum { TEXT = 1 << 23, TEXT_MOST = 512, MARKERS = 10000, MARKER_MOST = 240, HELD = 4096, PIECES = 3, PLACES = 1024 };
enum { WORK = 1 << 22, WORK_OF_RECORD = 1 << 11, WORK_OF_FOLLOWING = 64 };

enum { GUARD_NONE = 0, GUARD_NO_TABLE = 1, GUARD_OLD_VALUE = 2, STOP_DIVERGED = 1, STOP_DEFECT = 2 };

typedef struct sample {
    uint64_t time, mapped[6], linked[6];
} sample_t;

typedef struct marker {
    uint64_t time;
    uint32_t length;
    char text[MARKER_MOST];
} marker_t;

typedef struct place {
    uint64_t gfn, count;            /* the GFN and 1 */
} place_t;

typedef struct replay {
    scan_t scan;
    world_t *world;
    uint64_t next, tail;            /* records: next to follow, behind the newest */
    uint64_t followed, reordered, worst_back, overtaken, read_ahead, diverged, diverged_at;
    uint64_t nonpresent, frozen, encrypted, first_time, last_time;
    uint64_t changes, learned, unseen, gaps, started, comm_flips;
    uint64_t steps[STEP_KINDS], step_time[STEP_KINDS];
    uint64_t sample_every, sample_next;
    uint64_t spurious_run, spurious_gfn, spurious_pid;      /* the longest run of spurious faults of a task on one GFN */
    uint32_t sample_count, marker_count, tasks, hand, stop, site, hold, told, cpus_seen, lossy;
    sample_t sample[SAMPLES];
    uint64_t met, asking[MAX_TASKS + 1];     /* faults that met on a GFN; the GFN and 1 that a task asks for */
    uint16_t asked_by[ASKED];
    uint32_t pid_of[MAX_TASKS + 1], comm_of[MAX_TASKS + 1], comm_before[MAX_TASKS + 1];
    uint64_t used_at[MAX_TASKS + 1], seen_at[MAX_TASKS + 1], run_gfn[MAX_TASKS + 1], run[MAX_TASKS + 1];
    place_t spurious[PLACES];
    marker_t marker[MARKERS];
    record_t ring[RING];
    uint64_t text_end, last_text, work;
    uint32_t last_length, held, pieces, skipping;
    uint64_t held_line;
    uint8_t seen_cpu[CPUS], serves[PIDS];    /* whether a thread group runs vCPUs */
    uint16_t task_of[PIDS];
    char holding[HELD];
    char text[TEXT];
} replay_t;


static record_t *at(replay_t *p, uint64_t i)
{
    return &p->ring[i & MASK];
}

/* -- tasks: a number for each PID, used again when it was idle for long */

/* Nothing is known of what a task is in the middle of. */
static void blind(replay_t *p, uint16_t task)
{
    context_t c;
    memset(&c, 0, offsetof(context_t, out));
    if (setjmp(c.out)) {
        p->stop = STOP_DEFECT;
        p->site = (uint32_t)c.failure;
        return;
    }
    BLIND(&c, p->world, task);
}

/* Of a few numbers the one that was idle longest. */
static uint16_t recycled(replay_t *p)
{
    uint32_t best = 0;
    for (unsigned n = 0; n < 64; n++) {
        p->hand = p->hand % (MAX_TASKS - 1) + 1;
        if (!best || p->used_at[p->hand] < p->used_at[best])
            best = p->hand;
    }
    blind(p, (uint16_t)best);
    p->task_of[p->pid_of[best]] = 0;
    p->world->task.at[best].vcpu = 0;
    p->world->task.at[best].root = 0;
    p->seen_at[best] = p->run[best] = p->asking[best] = 0;
    p->comm_of[best] = p->comm_before[best] = 0;
    return (uint16_t)best;
}

static uint16_t task_of(replay_t *p, const record_t *r)
{
    uint16_t task = p->task_of[r->pid];
    if (!task) {
        int fresh = p->tasks + 1 < MAX_TASKS;
        task = fresh ? (uint16_t)++p->tasks : recycled(p);
        p->task_of[r->pid] = task;
        p->pid_of[task] = r->pid;
        p->world->task.at[task].blind = !fresh || p->world->midlife;
        p->world->task.at[task].pid = r->pid;
    }
    return task;
}

/* A PID whose lines name one task, another, and the first again is that of several threads. */
static void note_comm(replay_t *p, const record_t *r)
{
    if (!r->comm || r->comm == p->comm_of[r->task])
        return;
    p->comm_flips += r->comm == p->comm_before[r->task];
    p->comm_before[r->task] = p->comm_of[r->task];
    p->comm_of[r->task] = r->comm;
}

/* -- one record to the model */

enum { NO_VALUE = 2 };
static const uint64_t PRESENT = 1 << 11, NONPRESENT = 1ull << 63, FROZEN = 0x80000000000005A0ull, FROZEN_7_2 = 0x80000000000001A0ull;

/* The kernel's special values as the model has them. What is special in the model and not in this kernel is no value of an SPTE at all. */
static uint64_t in_model(const replay_t *p, uint64_t value)
{
    if (value == p->nonpresent)
        return NONPRESENT;
    if (value == p->frozen)
        return FROZEN;
    if (p->encrypted && value & PRESENT)
        return value & p->encrypted ? value ^ p->encrypted : NO_VALUE;
    return value == NONPRESENT || value == FROZEN || value == 0 ? NO_VALUE : value;
}

static void show(replay_t *p, const record_t *r)
{
    __auto_type e = &p->world->event;
    e->kind = r->kind;
    e->call = r->kind == K_SEAMCALL ? r->as_id : 0;
    e->as_id = r->kind == K_SEAMCALL ? 0 : r->as_id;
    e->level = r->level;
    e->failed = r->failed;
    e->task = r->task;
    e->gfn = r->gfn;
    e->pfn = r->pfn;
    e->old = r->kind == K_PAGE_FAULT || r->kind == K_SEAMCALL ? r->old : in_model(p, r->old);
    e->new = in_model(p, r->value);
    e->vcpu = (uint16_t)(r->vcpu + 1);
    e->access = r->access;
    e->spurious = r->spurious;
    e->sptep = r->sptep;
}

/* Where several roots may hold the entry that a fault maps, kvm_mmu_set_spte at its end tells the page of its table. */
static uint64_t address_of(replay_t *p, uint64_t i)
{
    record_t *r = at(p, i);
    if (r->old & PRESENT || !(r->value & PRESENT))
        return 0;
    for (uint64_t j = i + 1; j < p->tail && j < i + 512; j++) {
        record_t *later = at(p, j);
        if (later->pid != r->pid || later->kind == K_CHANGED || later->kind == K_ZAP_PAGE || later->kind == K_GET_PAGE)
            continue;
        return later->kind == K_SET && later->gfn == r->gfn && later->level == r->level ? later->sptep : 0;
    }
    return 0;
}

/* Counts faults that ask for a GFN while another task's fault does. */
static void note_asked(replay_t *p, const record_t *r)
{
    if (r->kind != K_REQUESTED) {
        if (r->kind == K_SET || r->kind == K_PAGE_FAULT || r->kind == K_ENTRY || r->kind == K_EXIT)
            p->asking[r->task] = 0;
        return;
    }
    uint16_t *slot = &p->asked_by[r->gfn * 0x9E3779B97F4A7C15ull >> 52];
    p->met += *slot && *slot != r->task && p->asking[*slot] == r->gfn + 1;
    p->asking[r->task] = r->gfn + 1;
    *slot = r->task;
}

/* Spurious faults by GFN, as many GFNs as there is room for, and the longest run of a task on one. */
static void note_spurious(replay_t *p, const record_t *r)
{
    place_t *place = NULL;
    for (unsigned n = 0; n < 8 && !place; n++) {
        place_t *one = &p->spurious[((r->gfn * 0x9E3779B97F4A7C15ull >> 54) + n) % PLACES];
        if (!one->count || one->gfn == r->gfn)
            place = one;
    }
    if (place) {
        place->gfn = r->gfn;
        place->count++;
    }
    p->run[r->task] = p->run_gfn[r->task] == r->gfn ? p->run[r->task] + 1 : 1;
    p->run_gfn[r->task] = r->gfn;
    if (p->run[r->task] > p->spurious_run) {
        p->spurious_run = p->run[r->task];
        p->spurious_gfn = r->gfn;
        p->spurious_pid = r->pid;
    }
}

/* Counts a step, and the time since the event of the same task before it. */
static void account(replay_t *p, const record_t *r)
{
    uint64_t before = p->seen_at[r->task];
    p->followed++;
    p->steps[p->world->step]++;
    if (before && r->time > before)
        p->step_time[p->world->step] += r->time - before;
    p->seen_at[r->task] = r->time;
    note_asked(p, r);
    if (r->kind == K_FAST && r->spurious)
        note_spurious(p, r);
    else if (r->kind != K_PAGE_FAULT && r->kind != K_ENTRY && r->kind != K_EXIT)
        p->run[r->task] = 0;
}

/* Events were lost: nothing is known of any entry, nor of any task. */
static void lose_all(replay_t *p)
{
    context_t c;
    memset(&c, 0, offsetof(context_t, out));
    LOSE(&c, p->world);
    for (uint32_t i = 1; i <= p->tasks; i++)
        blind(p, (uint16_t)i);
}

/* A loss is told behind it: from the last event of its CPU to the line that tells of it, each event may have been preceded by others. */
static void follow_mark(replay_t *p, record_t *r)
{
    lose_all(p);
    if (r->kind == K_LOST && r->value && p->lossy)
        p->lossy--;
    p->started += r->kind == K_STARTED;
    r->done = 1;
}

/* The guard that an event does not pass; GUARD_NONE if the model followed it. */
static int follow_record(replay_t *p, uint64_t i)
{
    record_t *r = at(p, i);
    context_t c;
    if (r->kind == K_LOST || r->kind == K_STARTED) {
        follow_mark(p, r);
        return GUARD_NONE;
    }
    if (!r->task) {
        r->task = task_of(p, r);
        note_comm(p, r);
    }
    p->used_at[r->task] = p->followed;
    p->world->task.at[r->task].vm = p->serves[r->tgid] ? r->tgid : 0;
    memset(&c, 0, offsetof(context_t, out));
    if (p->lossy) {
        LOSE(&c, p->world);
        blind(p, r->task);
    }
    show(p, r);
    if (r->kind == K_CHANGED && p->world->births > 1)
        p->world->event.sptep = address_of(p, i);
    if (setjmp(c.out)) {
        p->stop = STOP_DEFECT;
        p->site = (uint32_t)c.failure;
        return GUARD_OLD_VALUE;
    }
    uint64_t learned = p->world->learned;
    int guard = (int)FOLLOW(&c, p->world);
    if (guard == GUARD_NONE) {
        r->done = 1;
        if (r->kind == K_CHANGED) {
            p->changes++;
            r->learned = p->world->learned != learned;
            p->learned += r->learned;
            p->unseen += p->world->step == STEP_UNSEEN;
        }
        account(p, r);
        p->lossy += r->loses;
    }
    return guard;
}
