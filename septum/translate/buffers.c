/* The store buffers of x86-TSO, behind the world and the frames of a state: of each thread how many stores, and these, oldest first.
 *
 * Offers READ, STORE and drain to the generated functions; has_stores and take_store to buffered.c. */

enum { STORE_SIZE = 12, BUFFER_SIZE = 4 + STORES * STORE_SIZE };
enum { BOUND_MET = 1 };         /* the number of the event that a buffer was full, as a bit */

/* Of each byte of the world: how large the scalar is that begins there, if its stores are buffered. */
static uint8_t model_buffered[WORLD_SIZE];

static inline uint8_t *buffer_of(const void *state, unsigned thread)
{
    return (uint8_t *)(uintptr_t)state + BUFFERS + (size_t)thread * BUFFER_SIZE;
}

static inline uint8_t *store_at(uint8_t *buffer, unsigned number)
{
    return buffer + 4 + number * STORE_SIZE;
}

static inline int has_stores(const void *state, unsigned thread)
{
    return *buffer_of(state, thread) != 0;
}

/* The memory takes the oldest store of a thread. */
static void take_store(context_t *c, void *state, unsigned thread)
{
    uint8_t *buffer = buffer_of(state, thread), *oldest = store_at(buffer, 0);
    uint32_t offset = load32(oldest);

    noted(c, state, (uint8_t *)state + offset);
    note_all(c, state, buffer, BUFFER_SIZE);
    memcpy((uint8_t *)state + offset, oldest + 4, model_buffered[offset]);
    memmove(oldest, oldest + STORE_SIZE, (STORES - 1) * STORE_SIZE);
    memset(store_at(buffer, STORES - 1), 0, STORE_SIZE);
    --*buffer;
}

/* Properties are judged by no thread, and see the memory. */
static inline void drain(context_t *c, void *state)
{
    while (c->thread < MAX_THREADS && has_stores(state, c->thread))
        take_store(c, state, c->thread);
}

static inline void load_own(const context_t *c, const void *state, const void *place, void *value, size_t size)
{
    if (c->thread >= MAX_THREADS || !has_stores(state, c->thread))
        return;
    uint8_t *buffer = buffer_of(state, c->thread);
    uint32_t offset = (uint32_t)((const uint8_t *)place - (const uint8_t *)state);
    for (unsigned number = *buffer; number--;)
        if (load32(store_at(buffer, number)) == offset) {
            memcpy(value, store_at(buffer, number) + 4, size);
            return;
        }
}

static inline void store_own(context_t *c, void *state, void *place, const void *value, size_t size)
{
    uint32_t offset = (uint32_t)((uint8_t *)place - (uint8_t *)state);
    if (!model_buffered[offset]) {
        noted(c, state, place);
        memcpy(place, value, size);
        return;
    }
    uint8_t *buffer = buffer_of(state, c->thread);
    if (*buffer == STORES) {
        c->witnesses |= BOUND_MET;
        take_store(c, state, c->thread);
    }
    note_all(c, state, buffer, BUFFER_SIZE);
    store32(store_at(buffer, *buffer), offset);
    memcpy(store_at(buffer, *buffer) + 4, value, size);
    ++*buffer;
}

#undef READ
#undef READ_IN
#undef READ_OWN
#define READ_IN(word, field, site) READ((word).field, site)
#define READ_OWN(place, site) READ(place, site)
#define READ(place, site) \
    ({ __typeof__(place) *at_ = &(place), value_ = *at_; load_own(c, w, at_, &value_, sizeof value_); value_; })
#define STORE(place, value) \
    do { __typeof__(place) *at_ = &(place), value_ = (value); store_own(c, w, at_, &value_, sizeof value_); } while (0)
