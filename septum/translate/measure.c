/* What a build that measures notes: meter, line, locks held and value in one word, each once. Behind the types of the model.
 *
 * Offers observe to the generated functions, held_locks and age_locks; septum_locks to Python. */

enum { NOTE_BITS = 16, MOST_LOCKS = 256, VALUE_BITS = 28, HELD_BITS = 20, PLACE_BITS = 11 };

static uint64_t model_notes[1 << NOTE_BITS];
static uint32_t model_noted;

/* Where a lock lies in the world, and its class, from 0. An age of 0: the steps of its holder are not counted. */
typedef struct lock_place {
    uint32_t writer, readers, age, class;
} lock_place_t;

static lock_place_t model_lock[MOST_LOCKS];
static uint32_t model_locks;

static uint64_t held_locks(const uint8_t *world, unsigned thread)
{
    uint64_t held = 0;
    if (thread == ENDED)
        return 0;
    for (const lock_place_t *lock = model_lock; lock < model_lock + model_locks; lock++) {
        if (world[lock->writer + thread / 8] >> thread % 8 & 1)
            held |= 1ull << 2 * lock->class;
        if (world[lock->readers + thread / 8] >> thread % 8 & 1)
            held |= 3ull << 2 * lock->class;
    }
    return held;
}

static __attribute__((noinline)) void observe(const context_t *c, const world_t *w, uint64_t meter, uint64_t value)
{
    if (c->probe)
        return;
    uint64_t word = (meter + 1) << (VALUE_BITS + HELD_BITS + PLACE_BITS) | (uint64_t)c->place << (VALUE_BITS + HELD_BITS) |
                    held_locks((const uint8_t *)w, c->thread) << VALUE_BITS | (value & ((1ull << VALUE_BITS) - 1));
    uint64_t at = (word * 0x9E3779B97F4A7C15ull) >> (64 - NOTE_BITS);
    for (;; at = (at + 1) & ((1 << NOTE_BITS) - 1)) {
        uint64_t there = __atomic_load_n(&model_notes[at], __ATOMIC_RELAXED);
        if (there == word)
            return;
        if (there)
            continue;
        if (__atomic_load_n(&model_noted, __ATOMIC_RELAXED) > (1 << NOTE_BITS) - 64)
            return; /* full, which septum_notes() tells */
        if (__atomic_compare_exchange_n(&model_notes[at], &there, word, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            __atomic_add_fetch(&model_noted, 1, __ATOMIC_RELAXED);
            return;
        }
        at = (at - 1) & ((1 << NOTE_BITS) - 1);
    }
}

/* A lock counts the steps that its holder took with it, up to 255. */
static void age_locks(context_t *c, world_t *w, unsigned thread)
{
    uint8_t *world = (uint8_t *)w;
    (void)c;
    for (const lock_place_t *lock = model_lock; lock < model_lock + model_locks; lock++)
        if (lock->age && world[lock->writer + thread / 8] >> thread % 8 & 1 && world[lock->age] < 255)
            NOTED(world[lock->age])++;
}

/* Which locks there are; forgets what was noted. */
void septum_locks(uint32_t count, const lock_place_t *locks)
{
    model_locks = count < MOST_LOCKS ? count : MOST_LOCKS;
    memcpy(model_lock, locks, model_locks * sizeof *locks);
    memset(model_notes, 0, sizeof model_notes);
    model_noted = 0;
}

/* What was noted; whether all of it. */
int septum_notes(uint64_t *to)
{
    memcpy(to, model_notes, sizeof model_notes);
    return model_noted <= (1 << NOTE_BITS) - 64;
}
