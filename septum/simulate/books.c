/* What a simulation counts: the observer of the model. Before it come the types of the model and METER_*, the numbers of meters.
 *
 * Offers observe and age_locks to the generated functions, settle and spend to driver.c, sim_costs and sim_books to Python. */

enum { MOST_LEAVES = 64, STATUSES = 256, ROLES = 16, KINDS = 128, BUCKETS = 1024, SUB = 16, NOBODY = 255 };

/* What a run costs, in picoseconds: a step of KVM's own, a page from the allocator, an ACCEPT,
 * an answer that did nothing, each leaf. */
typedef struct costs {
    uint64_t step, page, accept, refused, leaf[MOST_LEAVES];
} costs_t;

/* Counted from the start. Times in picoseconds; latency has SUB buckets for each power of two of nanoseconds. */
typedef struct books {
    uint64_t answered[MOST_LEAVES][STATUSES], allocated[KINDS], pages[ROLES], peak[ROLES], touched, faults, steps, pamt_held, mmu_read, mmu_written, pamt_waited, mmu_waited, waited, pamt_waits, mmu_waits, longest, most_popped,
        most_idle, most_idle_of_vm, most_idle_pairs,
        latency[BUCKETS];
} books_t;

typedef struct processor {
    uint64_t clock, since, began;
    uint32_t left;
    uint8_t vm, waits, in_leaf, leaf, steps_in_leaf, charged;
} processor_t;

static costs_t costs;
static books_t books;
static processor_t processors[MAX_THREADS];
static int released;

static inline void hold(const world_t *w, const processor_t *p, unsigned thread, uint64_t time)
{
    if (w->pamt_lock.writer >> thread & 1)
        books.pamt_held += time;
    if (w->vm.at[p->vm].mmu_lock.readers >> thread & 1)
        books.mmu_read += time;
    if (w->vm.at[p->vm].mmu_lock.writer >> thread & 1)
        books.mmu_written += time;
}

static inline void spend(const world_t *w, unsigned thread, uint64_t time)
{
    processor_t *p = &processors[thread];
    p->clock += time;
    hold(w, p, thread, time);
}

/* The steps since the last settlement are paid for. */
static inline void settle(const context_t *c, const world_t *w)
{
    processor_t *p = &processors[c->thread];
    uint64_t steps = p->left - c->left;
    p->left = c->left;
    books.steps += steps;
    spend(w, c->thread, steps * costs.step);
}

static inline unsigned bucket(uint64_t nanoseconds)
{
    if (nanoseconds < SUB)
        return (unsigned)nanoseconds;
    unsigned log = 63u - (unsigned)__builtin_clzll(nanoseconds);
    unsigned at = (log - 3) * SUB + (unsigned)(nanoseconds >> (log - 4) & (SUB - 1));
    return at < BUCKETS ? at : BUCKETS - 1;
}

static inline void answer(context_t *c, const world_t *w, uint64_t value)
{
    processor_t *p = &processors[c->thread];
    unsigned leaf = value / STATUSES, status = value % STATUSES;
    books.answered[leaf][status]++;
    settle(c, w);
    if (!p->charged)
        spend(w, c->thread, status ? costs.refused : costs.leaf[leaf]);
    p->in_leaf = 0;
}

static inline void note_served(context_t *c, const world_t *w)
{
    processor_t *p = &processors[c->thread];
    settle(c, w);
    uint64_t took = (p->clock - p->began) / 1000;
    books.latency[bucket(took)]++;
    if (took > books.longest)
        books.longest = took;
    books.faults++;
}

static inline void observe(context_t *c, const world_t *w, uint64_t meter, uint64_t value)
{
    processor_t *p = &processors[c->thread];
    switch (meter) {
    case METER_ENTERED:
        p->in_leaf = 1;
        p->leaf = (uint8_t)value;
        p->steps_in_leaf = p->charged = 0;
        break;
    case METER_ANSWERED:
        answer(c, w, value);
        break;
    case METER_MOVED: {
        unsigned to = value / ROLES, from = value % ROLES;
        if (to && ++books.pages[to] > books.peak[to])
            books.peak[to] = books.pages[to];
        if (from)
            books.pages[from]--;
        break;
    }
    case METER_ALLOCATED:
        books.allocated[value % KINDS]++;
        spend(w, c->thread, costs.page);
        break;
    case METER_HELD:
        released = 1;
        break;
    case METER_QUEUED:
        settle(c, w);
        p->left = c->left = 1; /* the softirq comes at the next yield */
        break;
    case METER_FAULTED:
        settle(c, w);
        p->began = p->clock;
        break;
    case METER_SERVED:
        note_served(c, w);
        break;
    case METER_POPPED:
        books.most_popped = value > books.most_popped ? value : books.most_popped;
        break;
    case METER_IDLE:
        books.most_idle = value > books.most_idle ? value : books.most_idle;
        break;
    case METER_IDLE_OF_VM:
        books.most_idle_of_vm = value > books.most_idle_of_vm ? value : books.most_idle_of_vm;
        break;
    case METER_IDLE_PAIRS:
        books.most_idle_pairs = value > books.most_idle_pairs ? value : books.most_idle_pairs;
        break;
    case METER_TOUCHED:
        books.touched++;
        spend(w, c->thread, costs.accept);
        break;
    default:
        break;
    }
}

static inline void age_locks(context_t *c, world_t *w, unsigned thread)
{
    (void)c, (void)w, (void)thread;
}

/* What things cost from now on. */
void sim_costs(const costs_t *table)
{
    costs = *table;
}

/* Where the books are. */
const books_t *sim_books(void)
{
    return &books;
}
