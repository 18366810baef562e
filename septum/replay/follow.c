/* Records in order, one after another to the model. What comes too early waits for the event of another CPU that it overtook.
 *
 * The ring holds the records that were followed last and those that were read ahead. Time stamps that go back between CPUs are put in order
 * within what was read ahead. An event that the model cannot explain may have overtaken another one: the kernel writes an SPTE first and
 * traces it then. So the first event of each other task on the same entry is looked for among those that were read ahead, and followed first. */

enum { RING = 1 << 15, AHEAD = 1 << 14, MASK = RING - 1, SAMPLES = 1024, STEP_KINDS = 40, ASKED = 4096 };

typedef struct sample {
    uint64_t time, mapped[6], linked[6];
} sample_t;

typedef struct replay {
    scan_t scan;
    world_t *world;
    uint64_t next, tail;            /* records: next to follow, behind the newest */
    uint64_t offset, followed, reordered, worst_back, overtaken, read_ahead, diverged, diverged_at;
    uint64_t nonpresent, frozen, encrypted, first_time, last_time;
    uint64_t steps[STEP_KINDS], step_time[STEP_KINDS];
    uint64_t sample_every, sample_next;
    uint32_t sample_count, tasks, stop, site, hold, told;
    sample_t sample[SAMPLES];
    uint64_t met, asking[MAX_TASKS + 1];     /* faults that met on a GFN; the GFN and 1 that a task asks for */
    uint16_t asked_by[ASKED];
    uint32_t pid_of[MAX_TASKS + 1];
    uint64_t used_at[MAX_TASKS + 1], seen_at[MAX_TASKS + 1];
    uint16_t hash[4 * MAX_TASKS];
    record_t ring[RING];
} replay_t;

enum { K_LOST = 19, GUARD_NONE = 0, GUARD_NO_TABLE = 1, GUARD_OLD_VALUE = 2, STOP_DIVERGED = 1, STOP_DEFECT = 2 };

static record_t *at(replay_t *p, uint64_t i)
{
    return &p->ring[i & MASK];
}

/* -- tasks: a number for each PID, used again when it was idle longest */

static uint16_t task_of(replay_t *p, const record_t *r)
{
    enum { SLOTS = 4 * MAX_TASKS };
    uint32_t h = r->pid * 2654435761u % SLOTS, probes = 0;
    for (; probes < SLOTS; probes++, h = (h + 1) % SLOTS) {
        if (!p->hash[h])
            break;
        if (p->pid_of[p->hash[h]] == r->pid)
            return p->hash[h];
    }
    uint16_t task = 0;
    if (p->tasks + 1 < MAX_TASKS) {
        task = (uint16_t)++p->tasks;
    } else {
        uint64_t oldest = UINT64_MAX;
        for (uint32_t i = 1; i < MAX_TASKS; i++)
            if (p->used_at[i] < oldest && !p->world->task.at[i].depth) {
                oldest = p->used_at[i];
                task = (uint16_t)i;
            }
        memset(&p->world->task.at[task], 0, sizeof p->world->task.at[task]);
        p->pid_of[task] = r->pid;
        p->world->task.at[task].blind = 1;
        p->world->task.at[task].vm = r->tgid;
        p->world->task.at[task].pid = r->pid;
        memset(p->hash, 0, sizeof p->hash);
        for (uint32_t i = 1; i < MAX_TASKS; i++) {
            uint32_t g = p->pid_of[i] * 2654435761u % SLOTS;
            while (p->hash[g])
                g = (g + 1) % SLOTS;
            p->hash[g] = (uint16_t)i;
        }
        return task;
    }
    p->pid_of[task] = r->pid;
    p->hash[h] = task;
    p->world->task.at[task].blind = p->world->midlife;
    p->world->task.at[task].vm = r->tgid;
    p->world->task.at[task].pid = r->pid;
    return task;
}

/* -- one record to the model */

enum { NO_VALUE = 2 };
static const uint64_t PRESENT = 1 << 11, NONPRESENT = 1ull << 63, FROZEN = 0x80000000000005A0ull;

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
    e->sptep = r->sptep;
}

/* Where several roots may hold an entry, kvm_mmu_set_spte at the end of the same fault tells the page of its table. */
static uint64_t address_of(replay_t *p, uint64_t i)
{
    record_t *r = at(p, i);
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
}

/* The guard that an event does not pass; GUARD_NONE if the model followed it. */
static int follow_record(replay_t *p, uint64_t i)
{
    record_t *r = at(p, i);
    context_t c;
    if (r->kind == K_LOST) {
        memset(&c, 0, sizeof c);
        LOSE(&c, p->world);
        for (uint32_t i = 1; i <= p->tasks; i++) {
            __auto_type task = &p->world->task.at[i];
            __auto_type kept = *task;
            memset(task, 0, sizeof *task);
            task->blind = 1;
            task->vm = kept.vm;
            task->pid = kept.pid;
            task->vcpu = kept.vcpu;
            task->root = kept.root;
        }
        r->done = 1;
        return GUARD_NONE;
    }
    if (!r->task)
        r->task = task_of(p, r);
    p->used_at[r->task] = p->followed;
    show(p, r);
    if (r->kind == K_CHANGED && p->world->births > 1)
        p->world->event.sptep = address_of(p, i);
    memset(&c, 0, offsetof(context_t, out));
    if (setjmp(c.out)) {
        p->stop = STOP_DEFECT;
        p->site = (uint32_t)c.failure;
        return GUARD_OLD_VALUE;
    }
    int guard = (int)FOLLOW(&c, p->world);
    if (guard == GUARD_NONE) {
        r->done = 1;
        account(p, r);
    }
    return guard;
}
