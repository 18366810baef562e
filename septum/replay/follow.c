/* Records in order, one after another to the model. What comes too early waits for the event of another CPU that it overtook.
 *
 * The ring holds the records that were followed last and those that were read ahead. Time stamps that go back between CPUs are put in order
 * within what was read ahead. An event that the model cannot explain may have overtaken another one: the kernel writes an SPTE first and
 * traces it then. So the first event of each other task on the same entry is looked for among those that were read ahead, and followed first. */

enum { RING = 1 << 15, AHEAD = 1 << 14, MASK = RING - 1, BATCH = 1 << 16, SAMPLES = 1024, STEP_KINDS = 40 };

typedef struct sample {
    uint64_t time, mapped[6], linked[6];
} sample_t;

typedef struct replay {
    scan_t scan;
    world_t *world;
    uint64_t head, next, tail;      /* records: oldest in the ring, next to follow, behind the newest */
    uint64_t offset, followed, reordered, worst_back, overtaken, read_ahead, diverged, diverged_at;
    uint64_t nonpresent, frozen, first_time, last_time;
    uint64_t steps[STEP_KINDS], step_time[STEP_KINDS];
    uint64_t sample_every, sample_next;
    uint32_t sample_count, tasks, stop, site, hold, told;
    sample_t sample[SAMPLES];
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
    return task;
}

/* -- one record to the model */

enum { NO_VALUE = 2 };
static const uint64_t NONPRESENT = 1ull << 63, FROZEN = 0x80000000000005A0ull;

/* The kernel's special values as the model has them. What is special in the model and not in this kernel is no value of an SPTE at all. */
static uint64_t in_model(const replay_t *p, uint64_t value)
{
    if (value == p->nonpresent)
        return NONPRESENT;
    if (value == p->frozen)
        return FROZEN;
    return value == NONPRESENT || value == FROZEN || value == 0 ? NO_VALUE : value;
}

static void show(replay_t *p, const record_t *r)
{
    __auto_type e = &p->world->event;
    e->kind = r->kind;
    e->as_id = r->as_id;
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

/* Counts a step, and the time since the event of the same task before it. */
static void account(replay_t *p, const record_t *r)
{
    uint64_t before = p->seen_at[r->task];
    p->followed++;
    p->steps[p->world->step]++;
    if (before && r->time > before)
        p->step_time[p->world->step] += r->time - before;
    p->seen_at[r->task] = r->time;
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
            uint32_t vm = p->world->task.at[i].vm;
            memset(&p->world->task.at[i], 0, sizeof p->world->task.at[i]);
            p->world->task.at[i].blind = 1;
            p->world->task.at[i].vm = vm;
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

/* -- events that overtook another one */

static uint64_t kept_bits(const replay_t *p)
{
    return ~(p->world->layout.accessed | p->world->layout.dirty);
}

static int covers(const record_t *r, const record_t *e)
{
    unsigned shift = 9 * (unsigned)(r->level - 1);
    return r->gfn >> shift == e->gfn >> shift;
}

/* What the entry of `e` holds after `r`, if `r` changes it. */
static int leaves(const replay_t *p, const record_t *r, const record_t *e, uint64_t *value)
{
    if (r->kind == K_CHANGED && r->level == e->level && r->gfn == e->gfn && (e->kind != K_CHANGED || r->as_id == e->as_id)) {
        *value = in_model(p, r->value);
        return 1;
    }
    if (r->kind == K_FAST && !r->failed && e->level && covers(e, r)) {
        *value = in_model(p, r->old) | p->world->layout.writable;
        return 1;
    }
    if (r->kind == K_CHANGED && e->kind == K_FAST && covers(r, e)) {
        *value = in_model(p, r->value);
        return 1;
    }
    return 0;
}

static int earlier(replay_t *p, uint64_t i, unsigned depth);

/* Follows record `i`, and what its task did before it. */
static int follow_ahead(replay_t *p, uint64_t from, uint64_t i, unsigned depth)
{
    record_t *r = at(p, i);
    for (uint64_t j = from; j <= i; j++) {
        record_t *before = at(p, j);
        if (before->done || before->pid != r->pid)
            continue;
        int guard = follow_record(p, j);
        if (guard != GUARD_NONE && !(depth < 3 && earlier(p, j, depth + 1)))
            return 0;
        before->done = 1;
    }
    return 1;
}

/* Whether the event of another task that `i` overtook can be found and followed, and then `i` itself. */
static int earlier(replay_t *p, uint64_t i, unsigned depth)
{
    record_t *e = at(p, i);
    uint64_t end = p->tail < i + AHEAD ? p->tail : i + AHEAD, wanted, value;
    uint32_t passed[16];
    unsigned count = 0;
    if (e->kind != K_CHANGED && e->kind != K_FAST && e->kind != K_SET && e->kind != K_ZAP_PAGE)
        return 0;
    wanted = in_model(p, e->kind == K_SET ? e->value : e->old) & kept_bits(p);
    for (uint64_t j = i + 1; j < end; j++) {
        record_t *r = at(p, j);
        if (r->done || r->pid == e->pid || (r->kind != K_CHANGED && r->kind != K_FAST) || r->kind == K_LOST)
            continue;
        unsigned k = 0;
        while (k < count && passed[k] != r->pid)
            k++;
        if (k < count)
            continue;
        int same = leaves(p, r, e, &value);
        int above = r->kind == K_CHANGED && r->level > e->level && e->level && covers(r, e);
        int fits = same && (value & kept_bits(p)) == wanted;
        if (e->kind == K_SET && same && !fits && wanted == FROZEN)
            fits = 1;
        if (fits || (above && !same)) {
            if (e->kind == K_SET && fits) {
                p->read_ahead++;
                e->done = 1;
                account(p, e);
                p->world->task.at[e->task].owes_set = 0;
                return 1;
            }
            if (follow_ahead(p, i + 1, j, depth)) {
                p->overtaken++;
                if (follow_record(p, i) == GUARD_NONE)
                    return 1;
                continue;
            }
        }
        if (r->kind == K_CHANGED && in_model(p, r->value) != FROZEN && count < 16)
            passed[count++] = r->pid;
    }
    return 0;
}

/* -- in order */

static void sample(replay_t *p, uint64_t time)
{
    if (p->sample_count == SAMPLES) {
        for (uint32_t i = 0; i < SAMPLES / 2; i++)
            p->sample[i] = p->sample[2 * i + 1];
        p->sample_count = SAMPLES / 2;
        p->sample_every *= 2;
    }
    sample_t *s = &p->sample[p->sample_count++];
    s->time = time;
    memcpy(s->mapped, &p->world->mapped, sizeof s->mapped);
    memcpy(s->linked, &p->world->linked, sizeof s->linked);
    p->sample_next = time + p->sample_every;
}

static void step(replay_t *p)
{
    record_t *r = at(p, p->next);
    if (!r->done) {
        int guard = follow_record(p, p->next);
        if (guard != GUARD_NONE && !p->stop && !earlier(p, p->next, 0)) {
            if (!p->stop)
                p->stop = STOP_DIVERGED;
            p->diverged_at = p->next;
            follow_record(p, p->next);
            return;
        }
    }
    if (!p->stop) {
        if (!p->first_time)
            p->first_time = r->time;
        if (r->time > p->last_time)
            p->last_time = r->time;
        if (r->time >= p->sample_next)
            sample(p, r->time);
        p->next++;
    }
}

/* A record takes its place by time among those that were not followed yet; the order of one CPU is never changed. */
static void place(replay_t *p, uint64_t i)
{
    record_t moved = *at(p, i);
    uint64_t to = i;
    while (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu != moved.cpu && at(p, to - 1)->kind != K_LOST)
        to--;
    if (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu == moved.cpu && at(p, to - 1)->kind != K_LOST)
        p->scan.backwards++;
    if (to == i)
        return;
    uint64_t back = at(p, i - 1)->time - moved.time;
    p->reordered++;
    if (back > p->worst_back)
        p->worst_back = back;
    for (uint64_t j = i; j > to; j--)
        *at(p, j) = *at(p, j - 1);
    *at(p, to) = moved;
}

/* -- what Python calls */

size_t replay_size(void) { return sizeof(replay_t); }

void replay_start(replay_t *p, world_t *world)
{
    p->world = world;
    p->hold = 1;
    p->sample_every = 1000;
}

static void note_traced(replay_t *p, int kind)
{
    __auto_type t = &p->world->traced;
    t->requested |= kind == K_REQUESTED;
    t->set_spte |= kind == K_SET;
    t->get_page |= kind == K_GET_PAGE;
    t->zap_page |= kind == K_ZAP_PAGE;
    t->split |= kind == K_SPLIT;
}

/* The first frozen value tells the kernel's; it is read long before the removal that it belongs to is followed. */
static void note_frozen(replay_t *p, const record_t *r)
{
    uint64_t value = r->value;
    if (value != 0x5A0 && value != FROZEN && value != 0x80000000000001A0ull)
        return;
    p->told = 1;
    p->frozen = value;
    p->world->layout.parent_last = value == 0x80000000000001A0ull;
}

/* Scans whole lines until the ring is full or something diverged; the bytes consumed. */
size_t replay_feed(replay_t *p, const char *bytes, size_t size, int last)
{
    size_t done = 0;
    while (!p->stop) {
        if (p->hold && p->tail - p->next > AHEAD)
            break;
        while (p->tail - p->next > AHEAD && !p->stop)
            step(p);
        if (p->stop)
            break;
        const char *line = bytes + done, *end = memchr(line, '\n', size - done);
        if (!end && (!last || done == size))
            break;
        size_t length = end ? (size_t)(end - line) : size - done;
        record_t *r = at(p, p->tail);
        int what = scan_line(&p->scan, line, length, r);
        if (what == SCAN_LOST && end) {
            uint64_t time = p->tail ? at(p, p->tail - 1)->time : 0;
            memset(r, 0, sizeof *r);
            r->kind = K_LOST;
            r->time = time;
            what = SCAN_RECORD;
        }
        if (what == SCAN_RECORD) {
            r->offset = p->offset;
            r->length = (uint32_t)length;
            r->line = p->scan.lines;
            note_traced(p, r->kind);
            if (r->kind == K_CHANGED && !p->told)
                note_frozen(p, r);
            p->tail++;
            place(p, p->tail - 1);
        }
        p->offset += length + (end != NULL);
        done += length + (end != NULL);
    }
    return done;
}

/* Follows everything that was read. */
void replay_drain(replay_t *p)
{
    while (!p->stop && p->next < p->tail)
        step(p);
    if (!p->stop)
        sample(p, p->last_time);
}

/* After a divergence: the entry is taken as the event leaves it, the task as if nothing were known of it, and the replay goes on. */
void replay_resynchronise(replay_t *p)
{
    record_t *r = at(p, p->diverged_at);
    context_t c;
    memset(&c, 0, sizeof c);
    show(p, r);
    if (!setjmp(c.out))
        ADOPT(&c, p->world);
    r->done = 1;
    p->diverged++;
    p->next = p->diverged_at + 1;
    p->stop = 0;
}

/* The guard that the event at which the replay stopped does not pass if it is to be a given step. */
int replay_guard(replay_t *p, int step_number)
{
    context_t c;
    memset(&c, 0, sizeof c);
    show(p, at(p, p->diverged_at));
    if (setjmp(c.out))
        return -1;
    return (int)GUARD_OF(&c, p->world, (uint8_t)step_number);
}
