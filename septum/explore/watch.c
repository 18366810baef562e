/* With -DWATCHED every access of a step to the state is noted: what it touched, where, and where the code says so. */
#ifdef WATCHED

enum { MOST_ACCESSES = 4096 };
static const uint32_t COMMUTING = UINT32_MAX;

typedef struct access {
    uint32_t offset, site;      /* of the place in the world; of the expression in the code */
    uint32_t word, piece;       /* where the word begins that holds it; the atomic routine that touched it, COMMUTING, or 0 */
    uint8_t size, written, padding[6];
} access_t;

typedef struct accesses {
    uint32_t count;             /* of those that there was no room for as well */
    uint32_t atomic;            /* the step says why it is one */
    uint32_t piece, pieces;     /* the atomic routine that runs, and how many have */
    access_t at[MOST_ACCESSES];
} accesses_t;

static __thread accesses_t *watching;

static void *touched(const void *world, void *place, void *word, size_t size, int written, uint32_t site)
{
    if (watching) {
        if (watching->count < MOST_ACCESSES)
            watching->at[watching->count] = (access_t){
                .offset = (uint32_t)((uint8_t *)place - (const uint8_t *)world), .site = site,
                .word = (uint32_t)((uint8_t *)word - (const uint8_t *)world), .piece = watching->piece,
                .size = (uint8_t)size, .written = (uint8_t)written,
            };
        watching->count++;
    }
    return place;
}

/* What a routine that says why it is atomic touches counts as one place, and what one touches that commutes as none. */
static uint32_t begin_piece(int kind)
{
    uint32_t outer = watching ? watching->piece : 0;

    if (watching && (!outer || kind == COMMUTES))
        watching->piece = kind == COMMUTES ? COMMUTING : ++watching->pieces;
    return outer;
}

static void end_piece(uint32_t outer)
{
    if (watching)
        watching->piece = outer;
}

static void say_atomic(void)
{
    if (watching)
        watching->atomic = 1;
}

static int watch_step(uint8_t *state, unsigned thread, step_t *step, accesses_t *accesses)
{
    watching = accesses;
    accesses->count = accesses->atomic = accesses->piece = accesses->pieces = 0;
    int rc = model_step(state, thread, step);
    watching = NULL;
    return rc;
}

int septum_watch_step(uint8_t *state, unsigned thread, step_t *step, accesses_t *accesses)
{
    return watch_step(state, thread, step, accesses);
}

/* The spots where a thread stands, outermost first; how many there are. */
unsigned septum_spots(const uint8_t *state, unsigned thread, uint32_t spots[MOST_CALLS_DEEP])
{
    return find_spots(frame_of((uint8_t *)(uintptr_t)state, thread), thread, spots);
}
#endif
