/* Renamings of threads, and of the values of index types, that leave the programs and the first state of a scenario as they are.
 *
 * Python gives them all, as the moves and renamings of bytes that each comes to. Of the images of a state the one is taken whose frames
 * are least, with everything blank that a renaming may change; where several are, each gets its canonical names, and the least is taken.
 * A state in which stores wait in buffers, which no renaming knows, keeps its names.
 *
 * Offers model_canonical; septum_automorphisms to Python. */

typedef struct shift { uint32_t from, to, bytes; } shift_t;
typedef struct automorphism {
    uint8_t thread[32], source[32];     /* where a thread goes, and which one comes to its place */
    uint32_t shifts, places;
    const shift_t *shift;                /* of what lies elsewhere in the image */
    const place_t *place;
    const uint16_t *number[RENAMED];    /* of each value, by set; NULL: every value keeps its own */
} automorphism_t;

static struct {
    uint32_t count;
    const automorphism_t *of;
} model_automorphisms;

static uint64_t renamed_members(uint64_t members, const uint16_t *number)
{
    uint64_t renamed = 0;
    for (; members; members &= members - 1)
        renamed |= 1ull << number[__builtin_ctzll(members)];
    return renamed;
}

static uint64_t renamed_reference(const automorphism_t *a, uint64_t word)
{
    for (const shift_t *shift = a->shift; shift < a->shift + a->shifts; shift++)
        if (word >= shift->from && word < (uint64_t)shift->from + shift->bytes)
            return word - shift->from + shift->to;
    return word;
}

static void rename_values(const automorphism_t *a, uint8_t *at, const place_t *places, uint32_t count)
{
    for (const place_t *place = places; place < places + count; place++) {
        const uint16_t *number = a->number[place->set];
        uint64_t word = load_place(at + place->offset, place);
        if (place->kind == PLACE_REFERENCE)
            word = renamed_reference(a, word);
        else if (!number)
            continue;
        else if (place->kind == PLACE_MEMBERS)
            word = renamed_members(word, number);
        else if (place->kind == PLACE_PACKED)
            word = (word & ~(place->mask << place->low)) | (uint64_t)number[(word >> place->low) & place->mask] << place->low;
        else
            word = number[word];
        store_place(at + place->offset, place, word);
    }
}

static void rename_frame_values(void *a, const uint8_t *at, const place_t *places, uint32_t names, uint32_t all)
{
    (void)names;
    rename_values(a, (uint8_t *)(uintptr_t)at, places, all);
}

static void image(const automorphism_t *a, const uint8_t *from, uint8_t *to)
{
    memcpy(to, from, STATE_SIZE);
    for (const shift_t *shift = a->shift; shift < a->shift + a->shifts; shift++)
        memcpy(to + shift->to, from + shift->from, shift->bytes);
    rename_values(a, to, a->place, a->places);
    for (unsigned thread = 0; thread < MAX_THREADS; thread++) {
        uint8_t *frame = frame_of(to, a->thread[thread]);
        memcpy(frame, frame_of((uint8_t *)(uintptr_t)from, thread), FRAME_SIZE);
        frame_visit(frame, a->thread[thread], rename_frame_values, (void *)(uintptr_t)a);
    }
}

static void blank(void *with, const uint8_t *at, const place_t *places, uint32_t names, uint32_t all)
{
    (void)with; (void)names;
    for (uint32_t i = 0; i < all; i++)
        store_place((uint8_t *)(uintptr_t)at + places[i].offset, &places[i], 0);
}

/* Whether the frames come in a lesser order than by the best so far (-1), the same (0), or a greater one. */
static int compare_frames(uint8_t (*frames)[FRAME_SIZE], const automorphism_t *a, const automorphism_t *best)
{
    for (unsigned thread = 0; thread < MAX_THREADS; thread++) {
        unsigned one = a->source[thread], other = best->source[thread];
        int order = one == other ? 0 : memcmp(frames[one], frames[other], FRAME_SIZE);
        if (order)
            return order;
    }
    return 0;
}

static void model_canonical(const uint8_t *from, uint8_t *to)
{
    uint8_t frames[MAX_THREADS][FRAME_SIZE];
    _Alignas(16) uint8_t renamed[STATE_SIZE], other[STATE_SIZE];
    const automorphism_t *all = model_automorphisms.of, *end = all + model_automorphisms.count, *best = all;
    for (unsigned thread = 0; thread < MAX_THREADS; thread++)
        if (HAS_STORES(from, thread)) {
            memcpy(to, from, STATE_SIZE);
            return;
        }
    if (all == end) {
        canonical_names(from, to);
        return;
    }
    memcpy(frames, frame_of((uint8_t *)(uintptr_t)from, 0), sizeof frames);
    for (unsigned thread = 0; thread < MAX_THREADS; thread++)
        frame_visit(frames[thread], thread, blank, NULL);
    for (const automorphism_t *a = all + 1; a < end; a++)
        if (compare_frames(frames, a, best) < 0)
            best = a;
    if (best != all)
        image(best, from, renamed);
    canonical_names(best == all ? from : renamed, to);
    for (const automorphism_t *a = all; a < end; a++)
        if (a != best && compare_frames(frames, a, best) == 0) {
            image(a, from, renamed);
            canonical_names(renamed, other);
            if (memcmp(other, to, STATE_SIZE) < 0)
                memcpy(to, other, STATE_SIZE);
        }
}

/* Python gives those of a scenario, the identity first; what they point to lives as long as the library is used. */
void septum_automorphisms(uint32_t count, const automorphism_t *of)
{
    model_automorphisms.count = count;
    model_automorphisms.of = of;
}
