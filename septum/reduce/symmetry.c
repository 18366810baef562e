/* Symmetry: the values of a scalarset are interchangeable, so one state stands for all its renamings.
 *
 * The canonical form numbers the values in the order in which a fixed walk meets them: first the parts of the world that belong to no
 * scalarset, then the frames, then, value by value as they were numbered, the elements that belong to each. What the walk never meets keeps
 * its order by content. Equal up to renaming and met by the walk means equal; two unmet values with references to each other may be told
 * apart, which costs states and never a verdict.
 *
 * Offers canonical_names; load_place and store_place of a value in a state. */

static inline uint64_t load_place(const uint8_t *at, const place_t *place)
{
    switch (place->bytes) {
    case 1: return load8(at);
    case 2: return load16(at);
    case 4: return load32(at);
    default: return load64(at);
    }
}

static inline void store_place(uint8_t *at, const place_t *place, uint64_t value)
{
    switch (place->bytes) {
    case 1: store8(at, (uint8_t)value); break;
    case 2: store16(at, (uint16_t)value); break;
    case 4: store32(at, (uint32_t)value); break;
    default: store64(at, value); break;
    }
}

#if SCALARSETS
typedef struct renaming {
    uint32_t next[SCALARSETS + 1], queued, taken;
    uint16_t number[SCALARSETS + 1][SCALARSET_LIMIT];
    struct { uint8_t set; uint16_t value; } queue[SCALARSETS * SCALARSET_LIMIT + 1];
} renaming_t;

/* The number of a value that may be renamed: the next one where it is met for the first time. */
static inline uint64_t name_of(renaming_t *r, unsigned set, uint64_t value)
{
    uint16_t *number = &r->number[set][value];
    if (!*number) {
        *number = (uint16_t)r->next[set]++;
        r->queue[r->queued].set = (uint8_t)set;
        r->queue[r->queued++].value = (uint16_t)value;
    }
    return *number;
}

static inline int may_be_renamed(unsigned set, uint64_t value)
{
    return value && value >= scalarsets[set].first;
}

/* A reference into an element of a scalarset, as one into the element that its value's number has. */
static uint64_t reference_of(renaming_t *r, uint64_t word)
{
    for (const member_t *m = members; m < members + MEMBERS; m++)
        if (word >= m->offset && word < m->offset + (uint64_t)m->stride * scalarsets[m->set].limit) {
            uint64_t value = (word - m->offset) / m->stride;
            return may_be_renamed(m->set, value) ? word + (name_of(r, m->set, value) - value) * m->stride : word;
        }
    return word;
}

/* What is zero names nothing. */
static inline __attribute__((always_inline)) void rename_place(renaming_t *r, uint8_t *base, const place_t *place)
{
    uint8_t *at = base + place->offset;
    uint64_t word = load_place(at, place), value = place->kind == PLACE_PACKED ? (word >> place->low) & place->mask : word;
    if (!word)
        return;
    if (place->kind == PLACE_REFERENCE)
        store_place(at, place, reference_of(r, word));
    else if (may_be_renamed(place->set, value))
        store_place(at, place, word + ((name_of(r, place->set, value) - value) << place->low));
}

/* Of the world and of each member, with the numbers of the places in the code: most of them name nothing, and cost a comparison. */
#define RENAME_RUN(offset, mask, bytes, kind, set, low, step, count) \
    for (unsigned i = 0; i < (count); i++)                            \
        rename_place(r, base + i * (step), &(place_t){ offset, mask, bytes, kind, set, low });
#define RENAME_MEMBER(number, offset, stride, set)                         \
    static inline void rename_member_##number(renaming_t *r, uint8_t *base) \
    {                                                                      \
        (void)r, (void)base;                                               \
        MEMBER_PLACES_##number(RENAME_RUN)                                 \
    }
EACH_MEMBER(RENAME_MEMBER)

static void rename_world(renaming_t *r, uint8_t *base)
{
    (void)r, (void)base;
    WORLD_PLACES(RENAME_RUN)
}

/* The elements of the values that have a name of their own, which stay where they are. */
#define RENAME_FIRST(number, offset, stride, set)             \
    for (unsigned value = 0; value < scalarsets[set].first; value++) \
        rename_member_##number(r, to + (offset) + value * (stride));
static void rename_first(renaming_t *r, uint8_t *to)
{
    (void)r, (void)to;
    EACH_MEMBER(RENAME_FIRST)
}

/* The elements of the values that were met, in this order, each at the place that its number gives it; they may meet further ones. */
#define PLACE_ELEMENT(member, offset, stride, of)                                    \
    if (set == (of)) {                                                               \
        uint8_t *at = to + (offset) + number * (size_t)(stride);                     \
        memcpy(at, from + (offset) + value * (size_t)(stride), stride);              \
        rename_member_##member(r, at);                                               \
    }
static void place_elements(renaming_t *r, const uint8_t *from, uint8_t *to)
{
    (void)from, (void)to;
    while (r->taken < r->queued) {
        unsigned set = r->queue[r->taken].set, value = r->queue[r->taken].value, number = r->number[set][value];
        r->taken++;
        EACH_MEMBER(PLACE_ELEMENT)
        (void)number;
    }
}

static int compare_elements(const uint8_t *state, unsigned set, unsigned a, unsigned b)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].set == set) {
            const uint8_t *base = state + members[i].offset;
            int order = memcmp(base + (size_t)a * members[i].stride, base + (size_t)b * members[i].stride, members[i].stride);
            if (order)
                return order;
        }
    return 0;
}

/* Whether the values from `first` to before `end` have elements without content: all bytes as the first, and that 0. */
static int are_blank(const uint8_t *state, unsigned set, unsigned first, unsigned end)
{
    for (const member_t *m = members; m < members + MEMBERS; m++) {
        const uint8_t *at = state + m->offset + (size_t)first * m->stride;
        size_t bytes = m->set == set ? (size_t)(end - first) * m->stride : 0;
        if (bytes && (*at || memcmp(at, at + 1, bytes - 1)))
            return 0;
    }
    return 1;
}

/* Of the values that were not met and have content the one with the greatest; 0 if there is none. Those without are mostly neighbours. */
static unsigned greatest_left(const renaming_t *r, const uint8_t *state, unsigned set)
{
    unsigned best = 0, limit = scalarsets[set].limit;
    for (unsigned first = scalarsets[set].first, end; first < limit; first = end + 1) {
        for (end = first; end < limit && !r->number[set][end]; end++)
            ;
        if (end == first || are_blank(state, set, first, end))
            continue;
        for (unsigned value = first; value < end; value++)
            if (!are_blank(state, set, value, value + 1) && (!best || compare_elements(state, set, value, best) > 0))
                best = value;
    }
    return best;
}

static void rename_frame(void *r, const uint8_t *base, const place_t *places, uint32_t names, uint32_t all)
{
    (void)all;
    for (const place_t *place = places; place < places + names; place++)
        rename_place(r, (uint8_t *)(uintptr_t)base, place);
}

/* Each place is renamed as the walk comes to it. Values without content that nothing names are all alike, and need no number. */
static void canonical_names(const uint8_t *from, uint8_t *to)
{
    renaming_t r;
    memset(r.number, 0, sizeof r.number);
    r.queued = r.taken = 0;
    for (unsigned set = 0; set < SCALARSETS; set++)
        r.next[set] = scalarsets[set].first;
    memcpy(to, from, STATE_SIZE);
    for (const member_t *m = members; m < members + MEMBERS; m++) {
        const scalarset_t *of = &scalarsets[m->set];
        memset(to + m->offset + (size_t)of->first * m->stride, 0, (size_t)(of->limit - of->first) * m->stride);
    }
    rename_world(&r, to);
    rename_first(&r, to);
    for (unsigned thread = 0; thread < MAX_THREADS; thread++)
        frame_visit(frame_of(to, thread), thread, rename_frame, &r);
    place_elements(&r, from, to);
    for (unsigned set = 0, left; set < SCALARSETS; set++)
        while ((left = greatest_left(&r, from, set))) {
            name_of(&r, set, left);
            place_elements(&r, from, to);
        }
}
#else
static void canonical_names(const uint8_t *from, uint8_t *to)
{
    memcpy(to, from, STATE_SIZE);
}
#endif
