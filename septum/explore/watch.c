/* With -DWATCHED every access of a step to the state is noted: what it touched, where, and where the code says so.
 *
 * Offers touched, begin_piece, end_piece, say_atomic, one_piece and no_piece to the generated functions, by their macros;
 * watch_step, which fills in accesses_t. */
#ifdef WATCHED

static const uint32_t COMMUTING = UINT32_MAX, AWAITED = UINT32_MAX - 1;

typedef struct access {
    uint32_t offset, site;      /* of the place in the world; of the expression in the code */
    uint32_t word, piece;       /* where the word begins that holds it; the atomic routine that touched it, COMMUTING, AWAITED, or 0 */
    uint8_t size, written, joined, padding;     /* joined: the word has more in it than this place */
    uint32_t until;             /* of the first store to what the step waited for: the access that is the next one, or the end */
} access_t;

typedef struct accesses {
    uint32_t count, room;       /* count: also of those that there was no room for */
    uint32_t atomic;            /* the step says why it is one */
    uint32_t piece, pieces;     /* the atomic routine that runs, and how many have */
    uint32_t plain;             /* accesses that are in no routine that commutes, and in no condition that is waited for */
    uint32_t nested, outer;
    uint64_t reads, writes;     /* of the words touched: a bit stands for many */
    access_t *at;
    void (*between)(void *of, uint32_t count, const void *world);  /* called before each access, if there is one */
    void *of;
} accesses_t;

/* Defined in a library that all of a process share (libraries.py): glibc has room for some 200 libraries that have one each. */
extern __thread accesses_t *septum_watching __attribute__((weak, tls_model("initial-exec")));
#define watching septum_watching

static __attribute__((noinline)) void note_access(const void *world, access_t access)
{
    accesses_t *all = watching;

    if (all->between)
        all->between(all->of, all->count, world);
    access.piece = all->piece;
    uint64_t bit = 1ull << ((access.word / 4 * 0x9e3779b1u) >> 26);
    if (access.written)
        all->writes |= bit;
    else
        all->reads |= bit;
    all->plain += access.piece < AWAITED;
    if (all->count < all->room)
        all->at[all->count] = access;
    all->count++;
}

static inline void *touched(const void *world, void *place, void *word, size_t size, int joined, int written, uint32_t site)
{
    if (__builtin_expect(watching != NULL, 0))
        note_access(world, (access_t){
            .offset = (uint32_t)((uint8_t *)place - (const uint8_t *)world), .site = site,
            .word = (uint32_t)((uint8_t *)word - (const uint8_t *)world), .size = (uint8_t)size, .written = (uint8_t)written,
            .joined = (uint8_t)joined,
        });
    return place;
}

/* What a routine that says why it is atomic touches counts as one place, and what one touches that commutes as none. */
static inline uint32_t begin_piece(int kind)
{
    if (__builtin_expect(watching == NULL, 1))
        return 0;
    uint32_t outer = watching->piece;
    if (kind == WAITS)
        watching->piece = AWAITED;
    else if (!outer || kind == COMMUTES)
        watching->piece = kind == COMMUTES ? COMMUTING : ++watching->pieces;
    return outer;
}

static inline void end_piece(uint32_t outer)
{
    if (__builtin_expect(watching != NULL, 0))
        watching->piece = outer;
}

static inline void say_atomic(void)
{
    if (__builtin_expect(watching != NULL, 0))
        watching->atomic = 1;
}

/* Between the two stands what is one instruction, and calls nothing; where a routine around it is a piece, that stays the piece. */
static inline void one_piece(void)
{
    if (__builtin_expect(watching != NULL, 0) && !watching->nested++)
        watching->outer = begin_piece(ATOMIC);
}

static inline void no_piece(void)
{
    if (__builtin_expect(watching != NULL, 0) && !--watching->nested)
        end_piece(watching->outer);
}

static void begin_accesses(accesses_t *accesses)
{
    accesses->count = accesses->atomic = accesses->piece = accesses->pieces = accesses->plain = accesses->nested = 0;
    accesses->reads = accesses->writes = 0;
    watching = accesses;
}

static int watch_step(uint8_t *state, unsigned thread, step_t *step, accesses_t *accesses)
{
    accesses_t *outer = watching;

    begin_accesses(accesses);
    int rc = model_step(state, thread, step);
    watching = outer;
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
