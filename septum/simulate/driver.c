/* Threads at real geometry: one that runs as far as it can, or all of them in the order of their clocks. Behind threads.c.
 *
 * Offers to Python sim_begin, sim_run, sim_race, sim_result, sim_clock, sim_failure, sim_reset, sim_forget, sim_give and
 * sim_seamcalls. */

enum { MORE, FINISHED, FAILED, STUCK };

static int32_t failure;
static uint64_t results[MAX_THREADS];
static uint8_t waiting[MAX_THREADS];
static unsigned waiters;

/* Forgets all threads, clocks and books. */
void sim_reset(void)
{
    memset(&books, 0, sizeof books);
    memset(processors, 0, sizeof processors);
    memset(model_program, 0, sizeof model_program);
    waiters = 0;
}

/* Forgets clocks and books alone. */
void sim_forget(void)
{
    memset(&books, 0, sizeof books);
    memset(processors, 0, sizeof processors);
}

/* How many SEAMCALLs were made. */
uint64_t sim_seamcalls(void)
{
    uint64_t count = 0;
    for (unsigned leaf = 0; leaf < MOST_LEAVES; leaf++)
        for (unsigned status = 0; status < STATUSES; status++)
            count += books.answered[leaf][status];
    return count;
}

/* A thread that works for a VM begins a process; it has ended whatever it did before. */
void sim_begin(uint8_t *state, unsigned thread, unsigned vm, const call_t *call)
{
    model_program[thread].count = 1;
    model_program[thread].calls[0] = *call;
    processors[thread].vm = (uint8_t)vm;
    processors[thread].waits = 0;
    memset(frame_of(state, thread), 0, FRAME_SIZE);
}

uint64_t sim_result(unsigned thread)
{
    return results[thread];
}

/* Sets the clock of a thread, in picoseconds, to at least `least`; what it shows then. */
uint64_t sim_clock(unsigned thread, uint64_t least)
{
    if (processors[thread].clock < least)
        processors[thread].clock = least;
    return processors[thread].clock;
}

int32_t sim_failure(void)
{
    return failure;
}

/* A thread goes on over at most `steps` yields: STEP_DONE, STEP_BLOCKED, STEP_RETURNED or STEP_FAILED. */
static int go_on(uint8_t *state, unsigned thread, uint32_t steps)
{
    context_t c;
    uint8_t *frame = frame_of(state, thread), in[FRAME_SIZE];
    world_t *w = (world_t *)(void *)state;
    memset(&c, 0, __builtin_offsetof(context_t, out));
    c.thread = (uint8_t)thread;
    c.left = processors[thread].left = steps;
    memcpy(in, frame, FRAME_SIZE);
    if (setjmp(c.out)) {
        failure = c.failure;
        return STEP_FAILED;
    }
    int rc = enter(&c, w, in[1] ? in + 1 : NULL, frame + 1, &model_program[thread].calls[0]);
    settle(&c, w);
    if (rc == STEP_RETURNED) {
        results[thread] = c.result;
        frame[0] = ENDED;
    }
    return rc;
}

typedef struct block {
    uint32_t offset, order;
} block_t;

/* Gives free memory to the allocator: blocks from `page` on, with the process `entry`. Whether all went well. */
int sim_give(uint8_t *state, unsigned thread, uint32_t entry, uint64_t page, unsigned count, const block_t *blocks)
{
    for (const block_t *block = blocks; block < blocks + count; block++) {
        call_t call = {.entry = entry, .arguments = {page + block->offset, block->order}};
        sim_begin(state, thread, 0, &call);
        if (go_on(state, thread, 1 << 16) != STEP_RETURNED)
            return 0;
    }
    return 1;
}

/* RCU's softirq works off what is ready, unless a lock that it wants is held. */
static int callbacks(uint8_t *state, unsigned softirq)
{
    const world_t *w = (const world_t *)(const void *)state;
    int rc, some = 0;
    do {
        unsigned before = w->rcu.queued;
        rc = go_on(state, softirq, 1 << 16);
        some |= w->rcu.queued != before;
    } while (rc == STEP_DONE);
    return rc == STEP_FAILED ? -1 : some;
}

/* A thread alone, with softirqs when callbacks wait; comes back after about `steps` steps. */
int sim_run(uint8_t *state, unsigned thread, unsigned softirq, uint64_t steps)
{
    const world_t *w = (const world_t *)(const void *)state;
    for (uint64_t spent = 0; spent < steps; spent += 1 << 16) {
        int rc = go_on(state, thread, 1 << 16), some = 0;
        if (rc == STEP_FAILED)
            return FAILED;
        if (w->rcu.queued && (some = callbacks(state, softirq)) < 0)
            return FAILED;
        if (rc == STEP_RETURNED)
            return FINISHED;
        if (rc == STEP_BLOCKED && !some)
            return STUCK;
    }
    return MORE;
}

/* -- many threads, in the order of their clocks */

static void note_wait(const world_t *w, unsigned thread, int had_pamt, int had_mmu, uint64_t time)
{
    const processor_t *p = &processors[thread];
    books.waited += time;
    if (!had_pamt && w->pamt_lock.writer >> thread & 1) {
        books.pamt_waited += time;
        books.pamt_waits++;
    }
    if (!had_mmu && ((w->vm.at[p->vm].mmu_lock.readers | w->vm.at[p->vm].mmu_lock.writer) >> thread & 1)) {
        books.mmu_waited += time;
        books.mmu_waits++;
    }
}

/* One step; a call takes its time between the step that takes its locks and the one in which it acts. */
static int step_one(uint8_t *state, unsigned thread)
{
    world_t *w = (world_t *)(void *)state;
    processor_t *p = &processors[thread];
    int inside = p->in_leaf, rc = go_on(state, thread, 1);
    if (rc == STEP_DONE && inside && p->in_leaf && !p->charged && p->steps_in_leaf++ == 0) {
        p->charged = 1;
        spend(w, thread, costs.leaf[p->leaf]);
    }
    return rc;
}

static void wait(unsigned thread)
{
    processors[thread].waits = 1;
    processors[thread].since = processors[thread].clock;
    waiting[waiters++] = (uint8_t)thread;
}

/* Those that wait look again, in the order in which they came; STEP_FAILED, or how many went on. */
static int look_again(uint8_t *state, uint64_t now, unsigned *went)
{
    world_t *w = (world_t *)(void *)state;
    unsigned kept = 0, count = waiters;
    uint8_t order[MAX_THREADS];
    memcpy(order, waiting, count);
    waiters = *went = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned thread = order[i];
        processor_t *p = &processors[thread];
        int had_pamt = w->pamt_lock.writer >> thread & 1;
        int had_mmu = (w->vm.at[p->vm].mmu_lock.readers | w->vm.at[p->vm].mmu_lock.writer) >> thread & 1;
        uint64_t before = p->clock;
        p->clock = now > p->clock ? now : p->clock;
        int rc = step_one(state, thread);
        if (rc == STEP_FAILED)
            return STEP_FAILED;
        if (rc == STEP_BLOCKED) {
            p->clock = before;
            waiting[kept++] = (uint8_t)thread;
            continue;
        }
        p->waits = 0;
        ++*went;
        note_wait(w, thread, had_pamt, had_mmu, now > p->since ? now - p->since : 0);
    }
    waiters = kept;
    return STEP_DONE;
}

/* Threads 0 .. `threads`-1 by their clocks, for so many steps; the last is the softirq, which may wait for ever. */
int sim_race(uint8_t *state, unsigned threads, uint64_t steps)
{
    unsigned went = 0;
    for (uint64_t step = 0; step < steps; step++) {
        unsigned next = NOBODY, working = 0;
        for (unsigned thread = 0; thread < threads; thread++) {
            int ended = model_program[thread].count == 0 || frame_of(state, thread)[0] == ENDED;
            working += !ended && thread + 1 != threads;
            if (!ended && !processors[thread].waits && (next == NOBODY || processors[thread].clock < processors[next].clock))
                next = thread;
        }
        if (!working)
            return FINISHED;
        if (next == NOBODY) {
            uint64_t latest = 0;
            for (unsigned thread = 0; thread < threads; thread++)
                latest = processors[thread].clock > latest ? processors[thread].clock : latest;
            if (look_again(state, latest, &went) == STEP_FAILED)
                return FAILED;
            if (!went)
                return STUCK;
            continue;
        }
        released = 0;
        int rc = step_one(state, next);
        if (rc == STEP_FAILED)
            return FAILED;
        if (rc == STEP_BLOCKED)
            wait(next);
        if (waiters && (released || step % 16 == 0) && look_again(state, processors[next].clock, &went) == STEP_FAILED)
            return FAILED;
    }
    return MORE;
}
