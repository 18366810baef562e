/* Threads: each makes the calls of its program one after another. Behind the generated processes, before the explorer.
 *
 * Offers model_step and model_step_noted, model_choices and model_check, of states; septum_program, septum_ignore and septum_want
 * to Python. */

static struct {
    uint32_t count;
    call_t calls[MAX_CALLS];
} model_program[MAX_THREADS];

enum { WANTED_EVENT = INT32_MAX };      /* in the place of a failure */
static uint64_t model_wanted;           /* events: the step that reaches one fails */

static inline uint8_t *frame_of(uint8_t *state, unsigned thread)
{
    return state + WORLD_SIZE + (size_t)thread * FRAME_SIZE;
}

/* The frame is read from a copy and written anew, so that what is dead at the next yield is zero. */
static __attribute__((noinline)) int run_thread(context_t *c, uint8_t *state, unsigned thread, uint8_t *frame, const uint8_t *in)
{
    const call_t *call = &model_program[thread].calls[in[0]];
    note_all(c, state, frame, FRAME_SIZE);
    memset(frame + 1, 0, FRAME_SIZE - 1);
    int rc = enter(c, (world_t *)(void *)state, in[1] ? in + 1 : NULL, frame + 1, call);
    if (rc == STEP_BLOCKED)
        memcpy(frame, in, FRAME_SIZE);
#ifdef MEASURING
    if (rc != STEP_BLOCKED)
        age_locks(c, (world_t *)(void *)state, thread);
#endif
    if (rc == STEP_RETURNED)
        frame[0] = in[0] + 1u == model_program[thread].count ? ENDED : (uint8_t)(in[0] + 1);
    return rc == STEP_BLOCKED ? STEP_BLOCKED : STEP_DONE;
}

/* Adds to `written` the words that may have changed, also where the step failed. */
static int model_step_noted(uint8_t *state, unsigned thread, step_t *step, uint64_t *written)
{
    context_t c;
    uint8_t *frame = frame_of(state, thread), in[FRAME_SIZE];
    if (frame[0] == ENDED)
        return STEP_BLOCKED;
    memcpy(in, frame, FRAME_SIZE);
    c.witnesses = 0;
    c.choice = step->choice;
    c.fuel = c.place = 0;
    c.thread = (uint8_t)thread;
    c.probe = c.checking = 0;
    c.written = written;
    int rc = setjmp(c.out) ? STEP_FAILED : run_thread(&c, state, thread, frame, in);
    step->witnesses |= c.witnesses;
    if (c.witnesses & model_wanted && rc == STEP_DONE) {
        step->failure = WANTED_EVENT;
        return STEP_FAILED;
    }
    if (rc == STEP_FAILED) {
        memcpy(frame, in, FRAME_SIZE);
        step->failure = c.failure;
        if (!model_ignored[c.failure])
            return STEP_FAILED;
        set_aside(c.failure, ENDED_THERE);
        return STEP_PRUNED;
    }
    return rc;
}

static int model_step(uint8_t *state, unsigned thread, step_t *step)
{
    uint64_t unread[NOTE_WORDS] = { 0 };
    return model_step_noted(state, thread, step, unread);
}

static void probe(context_t *c, const uint8_t *state, unsigned thread)
{
    const uint8_t *frame = frame_of((uint8_t *)(uintptr_t)state, thread);
    c->choices = 1;
    c->checking = 0;
    c->probe = 1;
    c->fuel = 0;
    c->thread = (uint8_t)thread;
    if (frame[1] && !setjmp(c->out)) {
        uint8_t *unwritten = (uint8_t *)(uintptr_t)frame + 1;
        enter(c, (world_t *)(void *)(uintptr_t)state, frame + 1, unwritten, &model_program[thread].calls[frame[0]]);
    }
}

static uint32_t model_choices(const uint8_t *state, unsigned thread)
{
    context_t c;
    if (frame_of((uint8_t *)(uintptr_t)state, thread)[0] == ENDED)
        return 0;
    if (!HAS_CHOICES)
        return 1;
    probe(&c, state, thread);
    return c.choices;
}

static int32_t model_check(const uint8_t *state, int at_rest)
{
    context_t c;
    c.probe = 0;
    c.checking = 1;
    c.fuel = c.place = 0;
    c.thread = ENDED;
    c.witnesses = 0;
    if (setjmp(c.out))
        return c.failure;
    check_properties(&c, (world_t *)(void *)(uintptr_t)state, at_rest);
    return -1;
}

/* Gives a thread its program; Python calls it for every thread before a run. */
void septum_program(unsigned thread, uint32_t count, const call_t *calls)
{
    model_program[thread].count = count;
    memcpy(model_program[thread].calls, calls, count * sizeof *calls);
}

void septum_want(uint64_t events)
{
    model_wanted = events;
}

void septum_ignore(int32_t site, int ignored)
{
    model_ignored[site] = (uint8_t)ignored;
}
