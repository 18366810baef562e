/* Symmetry: the values of a scalarset are interchangeable, so one state stands for all its renamings.
 *
 * The canonical form numbers the values in the order in which a fixed walk meets them: first the parts of the world that belong to no
 * scalarset, then the frames, then, value by value as they were numbered, the elements that belong to each. What the walk never meets keeps
 * its order by content. Equal up to renaming and met by the walk means equal; two unmet values with references to each other may be told
 * apart, which costs states and never a verdict. */

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

static inline void met(renaming_t *r, unsigned set, uint64_t value)
{
    if (value < scalarsets[set].first || r->number[set][value])
        return;
    r->number[set][value] = (uint16_t)r->next[set]++;
    r->queue[r->queued].set = (uint8_t)set;
    r->queue[r->queued++].value = (uint16_t)value;
}

/* The value of a scalarset at a place: a number, the bits of a packed word, or the element that a reference points into. */
static inline int value_at(const place_t *place, uint64_t word, unsigned *set, uint64_t *value)
{
    if (place->kind == PLACE_REFERENCE) {
        for (unsigned i = 0; i < MEMBERS; i++) {
            const member_t *m = &members[i];
            if (word >= m->offset && word < m->offset + (uint64_t)m->stride * scalarsets[m->set].limit) {
                *set = m->set;
                *value = (word - m->offset) / m->stride;
                return 1;
            }
        }
        return 0;
    }
    *set = place->set;
    *value = place->kind == PLACE_PACKED ? (word >> place->low) & place->mask : word;
    return *value >= scalarsets[*set].first;
}

static void walk(renaming_t *r, const uint8_t *base, const place_t *places, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned set;
        uint64_t value, word = load_place(base + places[i].offset, &places[i]);
        if (word && value_at(&places[i], word, &set, &value))
            met(r, set, value);
    }
}

static void rename_places(const renaming_t *r, uint8_t *base, const place_t *places, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        unsigned set;
        const place_t *place = &places[i];
        uint64_t value, word = load_place(base + place->offset, place);
        if (!word || !value_at(place, word, &set, &value) || value < scalarsets[set].first)
            continue;
        uint64_t number = r->number[set][value];
        if (place->kind == PLACE_REFERENCE)
            for (unsigned j = 0; j < MEMBERS; j++) {
                const member_t *m = &members[j];
                if (m->set == set && word >= m->offset && word < m->offset + (uint64_t)m->stride * scalarsets[set].limit)
                    word += (number - value) * m->stride;
            }
        else if (place->kind == PLACE_PACKED)
            word = (word & ~(place->mask << place->low)) | number << place->low;
        else
            word = number;
        store_place(base + place->offset, place, word);
    }
}

static void walk_queue(renaming_t *r, const uint8_t *state)
{
    while (r->taken < r->queued) {
        unsigned set = r->queue[r->taken].set, value = r->queue[r->taken++].value;
        for (unsigned i = 0; i < MEMBERS; i++)
            if (members[i].set == set)
                walk(r, state + members[i].offset + (size_t)value * members[i].stride, members[i].places, members[i].count);
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

static inline int is_blank(const uint8_t *state, unsigned set, unsigned value)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        const uint8_t *at = state + members[i].offset + (size_t)value * members[i].stride;
        uint32_t left = members[i].set == set ? members[i].stride : 0;
        for (; left >= 8; left -= 8, at += 8)
            if (load64(at))
                return 0;
        for (; left; left--, at++)
            if (*at)
                return 0;
    }
    return 1;
}

/* Values that the walk did not meet but that have content, greatest content first. The blank ones are all alike and need no number. */
static void number_the_rest(renaming_t *r, const uint8_t *state)
{
    for (unsigned set = 0; set < SCALARSETS; set++)
        for (;;) {
            unsigned best = 0;
            for (unsigned value = scalarsets[set].first; value < scalarsets[set].limit; value++)
                if (!r->number[set][value] && !is_blank(state, set, value) && (!best || compare_elements(state, set, value, best) > 0))
                    best = value;
            if (!best)
                break;
            met(r, set, best);
            walk_queue(r, state);
        }
}

/* The elements of the values that are not interchangeable. */
static void walk_fixed(renaming_t *r, const uint8_t *state)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        for (unsigned value = 0; value < scalarsets[members[i].set].first; value++)
            walk(r, state + members[i].offset + (size_t)value * members[i].stride, members[i].places, members[i].count);
}

static void walk_frame(void *r, const uint8_t *base, const place_t *places, uint32_t names, uint32_t all)
{
    (void)all;
    walk(r, base, places, names);
}

static void walk_frames(renaming_t *r, const uint8_t *state)
{
    for (unsigned thread = 0; thread < MAX_THREADS; thread++) {
        const uint8_t *frame = frame_of((uint8_t *)(uintptr_t)state, thread);
        frame_visit(frame, thread, walk_frame, r);
    }
}

static void rename_frame(void *r, const uint8_t *base, const place_t *places, uint32_t names, uint32_t all)
{
    (void)all;
    rename_places(r, (uint8_t *)(uintptr_t)base, places, names);
}

/* A value's elements, at the place that its number gives them. */
static void place_element(const renaming_t *r, const uint8_t *from, uint8_t *to, unsigned set, unsigned value)
{
    for (unsigned i = 0; i < MEMBERS; i++)
        if (members[i].set == set) {
            const member_t *m = &members[i];
            uint8_t *at = to + m->offset + (size_t)r->number[set][value] * m->stride;
            memcpy(at, from + m->offset + (size_t)value * m->stride, m->stride);
            rename_places(r, at, m->places, m->count);
        }
}

static void canonical_names(const uint8_t *from, uint8_t *to)
{
    renaming_t r;
    memset(r.number, 0, sizeof r.number);
    r.queued = r.taken = 0;
    for (unsigned set = 0; set < SCALARSETS; set++)
        r.next[set] = scalarsets[set].first;
    walk(&r, from, world_places, WORLD_PLACES);
    walk_fixed(&r, from);
    walk_frames(&r, from);
    walk_queue(&r, from);
    number_the_rest(&r, from);
    memcpy(to, from, STATE_SIZE);
    for (unsigned i = 0; i < MEMBERS; i++) {
        const scalarset_t *of = &scalarsets[members[i].set];
        memset(to + members[i].offset + (size_t)of->first * members[i].stride, 0, (size_t)(of->limit - of->first) * members[i].stride);
        for (unsigned value = 0; value < of->first; value++)
            rename_places(&r, to + members[i].offset + (size_t)value * members[i].stride, members[i].places, members[i].count);
    }
    for (uint32_t i = 0; i < r.queued; i++)
        place_element(&r, from, to, r.queue[i].set, r.queue[i].value);
    rename_places(&r, to, world_places, WORLD_PLACES);
    for (unsigned thread = 0; thread < MAX_THREADS; thread++)
        frame_visit(frame_of(to, thread), thread, rename_frame, &r);
}
#else
static void canonical_names(const uint8_t *from, uint8_t *to)
{
    memcpy(to, from, STATE_SIZE);
}
#endif
