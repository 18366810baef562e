/* Which steps nobody else can tell when they are taken; from the footprints that Python gives for every place where a thread may stand.
 *
 * Offers model_alone, model_later and model_others to the explorer, model_stuck of threads that wait; septum_footprints to Python. */

enum { MOST_PLACES = 1024, PLACE_WORDS = MOST_PLACES / 64, MOST_CALLS_DEEP = 64 };
enum { REDUCE_LOCAL = 1, REDUCE_PARTIAL = 2 };
enum alone { NOT_ALONE, ALONE, ALONE_IN_LOOP };

/* spots of one process are neighbours, in the order of its positions; `inner` is the first one of the process called. */
typedef struct spot {
    uint32_t inner;
    uint16_t end;
    uint8_t leaves, loops, empty, calls, padding[6];
} spot_t;

enum { STEP_READS, STEP_WRITES, LATER_READS, LATER_WRITES, WAIT_READS, SETS };

static struct {
    uint32_t words;
    const spot_t *spots;
    const uint64_t *sets;       /* SETS of each spot, of `words` each */
    const uint64_t *judged;     /* what the properties read */
    const uint32_t *first;      /* of thread and call: the spot where it begins */
    const uint64_t *rest;       /* of thread and call: what is read and written in the calls after it */
} model_footprints;

/* A store that waits in a buffer is one that its thread has yet to make: of any place. */
#ifdef STORES
#define HAS_STORES(state, thread) has_stores(state, thread)
#else
#define HAS_STORES(state, thread) 0
#endif

typedef struct others {
    uint64_t reads[PLACE_WORDS], writes[PLACE_WORDS];
} others_t;

static inline const uint64_t *set_of(uint32_t spot, unsigned set)
{
    return model_footprints.sets + ((size_t)spot * SETS + set) * model_footprints.words;
}

/* The spots of the processes in which a thread stands, outermost first; how many there are. */
static unsigned find_spots(const uint8_t *frame, unsigned thread, uint32_t spots[MOST_CALLS_DEEP])
{
    const uint8_t *position = frame + 1;
    uint32_t first = model_footprints.first[thread * MAX_CALLS + frame[0]];
    unsigned depth = 0;

    do {
        const spot_t *spot = &model_footprints.spots[spots[depth++] = first + position[0]];
        first = spot->inner;
        position += spot->end;
        if (!spot->calls)
            break;
    } while (depth < MOST_CALLS_DEEP);
    return depth;
}

static void add_later(const uint8_t *state, unsigned thread, others_t *others)
{
    const uint8_t *frame = frame_of((uint8_t *)(uintptr_t)state, thread);
    uint32_t spots[MOST_CALLS_DEEP], words = model_footprints.words;

    if (HAS_STORES(state, thread))
        memset(others->writes, 0xff, words * sizeof(uint64_t));
    if (frame[0] == ENDED)
        return;
    unsigned depth = find_spots(frame, thread, spots);
    const uint64_t *rest = model_footprints.rest + ((size_t)thread * MAX_CALLS + frame[0]) * 2 * words;
    for (uint32_t i = 0; i < words; i++) {
        others->reads[i] |= rest[i];
        others->writes[i] |= rest[words + i];
    }
    while (depth--) {
        const uint64_t *reads = set_of(spots[depth], LATER_READS), *writes = set_of(spots[depth], LATER_WRITES);

        for (uint32_t i = 0; i < words; i++) {
            others->reads[i] |= reads[i];
            others->writes[i] |= writes[i];
        }
    }
}

static void touch_nothing(others_t *others)
{
    memset(others->reads, 0, model_footprints.words * sizeof(uint64_t));
    memset(others->writes, 0, model_footprints.words * sizeof(uint64_t));
}

/* What a thread may touch from now on. */
static void model_later(const uint8_t *state, unsigned thread, others_t *later)
{
    touch_nothing(later);
    add_later(state, thread, later);
}

/* What all other threads may touch, of what each may. */
static void model_others(const others_t *later, unsigned threads, unsigned thread, others_t *others)
{
    touch_nothing(others);
    for (unsigned other = 0; other < threads; other++)
        for (uint32_t i = 0; other != thread && i < model_footprints.words; i++) {
            others->reads[i] |= later[other].reads[i];
            others->writes[i] |= later[other].writes[i];
        }
}

static int meets_others(uint32_t spot, const others_t *others)
{
    const uint64_t *reads = set_of(spot, STEP_READS), *writes = set_of(spot, STEP_WRITES);

    for (uint32_t i = 0; i < model_footprints.words; i++)
        if ((writes[i] & (others->reads[i] | others->writes[i] | model_footprints.judged[i])) | (reads[i] & others->writes[i]))
            return 1;
    return 0;
}

/*
 * Whether the next step of a thread may be taken before anything else: it touches nothing (REDUCE_LOCAL), or nothing that another
 * thread will touch with effect, or a property judges (REDUCE_PARTIAL). In a loop, if it may go back to the head of one.
 */
static enum alone model_alone(const uint8_t *state, unsigned thread, const others_t *others, uint32_t reductions)
{
    const uint8_t *frame = frame_of((uint8_t *)(uintptr_t)state, thread);
    uint32_t spots[MOST_CALLS_DEEP];
    int empty = 1, loops = 0, meets = 0;

    if (!reductions || frame[0] == ENDED || HAS_STORES(state, thread))
        return NOT_ALONE;
    for (unsigned depth = find_spots(frame, thread, spots); depth--;) {
        const spot_t *spot = &model_footprints.spots[spots[depth]];

        empty &= spot->empty;
        loops |= spot->loops;
        meets |= !spot->empty && meets_others(spots[depth], others);
        if (!spot->leaves)
            break;
    }
    if (empty && reductions & REDUCE_LOCAL)
        return loops ? ALONE_IN_LOOP : ALONE;
    return meets || !(reductions & REDUCE_PARTIAL) ? NOT_ALONE : loops ? ALONE_IN_LOOP : ALONE;
}

/* Whether a thread waits for nothing that these writes may change. */
static int waits_in_vain(const uint8_t *state, unsigned thread, const uint64_t *writes)
{
    uint32_t spots[MOST_CALLS_DEEP];
    unsigned depth = find_spots(frame_of((uint8_t *)(uintptr_t)state, thread), thread, spots);
    const uint64_t *waits = set_of(spots[depth - 1], WAIT_READS);

    for (uint32_t i = 0; i < model_footprints.words; i++)
        if (waits[i] & writes[i])
            return 0;
    return 1;
}

/*
 * Which of the threads that wait can never go on, whatever the others do: those that are left when each is taken off for whose
 * condition a thread that is not among them may still write something.
 */
static uint32_t model_stuck(const uint8_t *state, unsigned threads, uint32_t waiting)
{
    uint32_t stuck = waiting, before = 0;

    if (!model_footprints.words)
        return 0;
    while (stuck && stuck != before) {
        others_t others;

        before = stuck;
        touch_nothing(&others);
        for (unsigned thread = 0; thread < threads; thread++)
            if (!(stuck >> thread & 1))
                add_later(state, thread, &others);
        for (unsigned thread = 0; thread < threads; thread++)
            if (stuck >> thread & 1 && !waits_in_vain(state, thread, others.writes))
                stuck &= ~(1u << thread);
    }
    return stuck;
}

/* Python gives the footprints before a run; what they point to lives as long as the library is used. */
void septum_footprints(uint32_t words, const spot_t *spots, const uint64_t *sets, const uint64_t *judged, const uint32_t *first,
                       const uint64_t *rest)
{
    model_footprints.words = words;
    model_footprints.spots = spots;
    model_footprints.sets = sets;
    model_footprints.judged = judged;
    model_footprints.first = first;
    model_footprints.rest = rest;
}
