/* Random SEAMCALLs, TDCALLs and guest accesses on every LP, valid, malformed and racing, with what must hold after them.
 * Behind the generated model; ENTRIES, LEVELS and the like come as macros from test_random.py. */

enum { SEAMCALL, TDCALL, ACCESS, INTERRUPT };
enum { NDA = 0, RSVD = 1, REG = 3, TDR = 4, TDCX = 5, TDVPR = 6, EPT = 8, PAMT = 15 };
enum { DONE = 1, EXIT = 4 };
#define TDEL (1ull << 11)
#define TDHP (1ull << 52)
#define FREE_ENTRY 0x80E0000000000000ull
#define STATE_BITS (1ull << 7 | 1ull << 56 | 7ull << 53)
#define HPA(word) (((word) & 0xFFFFFFFFFF000ull) >> 12)
#define is_blocked_word(word) (((word) & STATE_BITS) != (FREE_ENTRY & STATE_BITS) && ((word) >> 55 & 1))

typedef struct report {
    uint64_t calls, steps, races, pruned, errors, checked, merged, split;
    uint64_t seen[64][STATUSES];
    uint64_t guest[8][STATUSES];
    char wrong[256];
    uint64_t at;
} report_t;

static uint64_t dice_state;

static uint32_t dice(uint32_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)((dice_state >> 32) % sides);
}

#define WRONG(...) return snprintf(report->wrong, sizeof report->wrong, __VA_ARGS__), 1
#define MUST(condition, ...) do { if (!(condition)) WRONG(__VA_ARGS__); } while (0)

static world_t *world_of(uint8_t *state)
{
    return (world_t *)(void *)state;
}

/* -- operands */

/* Pages of their own come mostly from the lower part of memory, so that the upper one has room for large ones. */
static uint32_t a_page(void)
{
    return dice(16) ? dice(PAGES * 5 / 8) : dice(PAGES);
}

static uint32_t free_page(world_t *w)
{
    for (int tries = 0; tries < 12; tries++) {
        uint32_t page = a_page();
        if (w->frame.at[page].type == NDA && w->gig.at[page / (ENTRIES * ENTRIES)].initialised)
            return page;
    }
    return dice(PAGES);
}

static uint32_t paired_page(world_t *w)
{
    for (int tries = 0; tries < 24; tries++) {
        uint32_t page = free_page(w);
        if (w->pamt.at[page / ENTRIES].type == PAMT || !DYNAMIC)
            return page;
    }
    return free_page(w);
}

static uint64_t an_address(world_t *w, uint32_t page)
{
    (void)w;
    uint64_t address = (uint64_t)page << 12;
    switch (dice(256)) {
    case 0: return address | 1ull << dice(64);
    case 1: return address + dice(4096);
    case 2: return (uint64_t)dice(1u << 31) << dice(33);
    default: return address;
    }
}

static uint64_t a_tdr(world_t *w)
{
    uint32_t td = 1 + dice(TDS);
    for (int tries = 0; tries < 4 && w->td.at[td].lifecycle > 1; tries++)
        td = 1 + dice(TDS);
    return w->td.at[td].tdr ? an_address(w, w->td.at[td].tdr) : an_address(w, dice(PAGES));
}

static uint64_t a_tdvpr(world_t *w)
{
    for (int tries = 0; tries < 8; tries++) {
        uint32_t vcpu = 1 + dice(VCPUS);
        if (w->tdvps.at[vcpu].build.tdvpr)
            return an_address(w, w->tdvps.at[vcpu].build.tdvpr);
    }
    return an_address(w, dice(PAGES));
}

/* A GPA and a level, mostly one of the few entries where TDs meet the random calls again and again. */
static uint64_t an_entry(uint32_t least, uint32_t most)
{
    uint32_t level = dice(8) ? least + dice(most - least + 1) : dice(LEVELS), shift = ENTRY_BITS * level;
    uint64_t gfn = dice(8) ? dice(2) * ENTRIES * ENTRIES + dice(2) * ENTRIES + dice(ENTRIES) : dice(GFNS);
    if (dice(128))
        gfn = gfn >> shift << shift;
    uint64_t rcx = gfn << 12 | level;
    return dice(256) ? rcx : rcx ^ 1ull << dice(64);
}

static const uint8_t LEAVES[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 8, 9, 10, 15, 15, 15, 16, 17, 21, 22, 22, 23, 23,
    23, 24, 25, 28, 29, 29, 29, 29, 30, 30, 38, 38, 38, 38, 39, 39, 39, 39, 40, 41, 58, 58, 59, 36, 45, 33,
};

/* A translation that a guest which runs has cached: its GPA and level, and its TD; 0 if there is none. */
static uint64_t a_cached(world_t *w, uint64_t *tdr)
{
    for (int tries = 0; tries < 8; tries++) {
        __typeof__(w->lp.at[0]) *lp = &w->lp.at[dice(LPS)];
        __typeof__(lp->tlb.at[0]) *entry = &lp->tlb.at[dice(TLB)];
        if (lp->vcpu && entry->vm && entry->level) {
            *tdr = (uint64_t)w->td.at[entry->vm].tdr << 12;
            return (uint64_t)entry->gfn << 12 | (entry->level - 1u) | 1ull << 63;
        }
    }
    return 0;
}

static const uint8_t LEAST[64] = { [3] = 1, [15] = 1, [23] = 1, [30] = 1 };
static const uint8_t MOST[64] = { [3] = 2, [6] = 1, [7] = 1, [15] = 2, [23] = 2, [25] = 2, [29] = 1, [30] = 2, [39] = 1 };

static int is_free(world_t *w, uint64_t first, uint64_t size, int paired)
{
    for (uint64_t page = first; page < first + size; page++) {
        uint8_t type = w->pamt.at[page / ENTRIES].type;
        if (page >= PAGES || !w->gig.at[page / ENTRIES / ENTRIES].initialised || w->frame.at[page].type != NDA || type != (paired && DYNAMIC ? PAMT : NDA))
            return 0;
    }
    return 1;
}

static uint64_t free_block(world_t *w, uint64_t size, int paired)
{
    for (int tries = 0; tries < 16; tries++) {
        uint64_t first = (PAGES / 2 + dice(PAGES / 2)) / size * size;
        if (is_free(w, first, size, paired))
            return first << 12;
    }
    return (uint64_t)free_page(w) << 12;
}

/* The call that brings an entry above 4K nearer to being merged or split: a table is filled with pages in a row, and promoted; a large
 * leaf is demoted; both are blocked and tracked before, if the TD runs. */
static void reshape(world_t *w, unsigned lp)
{
    __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
    uint32_t td = 1 + dice(TDS), level = dice(4) ? 1 : 2, shift = ENTRY_BITS * level;
    uint64_t gfn = level == 2 ? GFNS / 2 + dice(2) * ENTRIES * ENTRIES : dice(2) * ENTRIES * ENTRIES + dice(2) * ENTRIES;
    uint64_t size = 1ull << (shift - ENTRY_BITS);
    uint32_t table = w->td.at[td].root;
    memset(g, 0, sizeof *g);
    g->rdx = (uint64_t)w->td.at[td].tdr << 12;
    for (uint32_t at = LEVELS - 1; table && at > level; at--) {
        uint64_t above = w->table.at[table].word.at[gfn >> (ENTRY_BITS * at) & (ENTRIES - 1)];
        g->rcx = gfn >> (ENTRY_BITS * at) << (ENTRY_BITS * at + 12) | at;
        if ((above & STATE_BITS) != 0) {
            g->rax = above >> 55 & 1 ? 39 : 3, g->r8 = (uint64_t)paired_page(w) << 12;
            return;
        }
        table = (uint32_t)HPA(above);
    }
    uint64_t word = table ? w->table.at[table].word.at[gfn >> shift & (ENTRIES - 1)] : FREE_ENTRY;
    int run = w->td.at[td].build.op_state == 2, blocked = is_blocked_word(word);
    g->rcx = gfn << 12 | level;
    g->r8 = (uint64_t)paired_page(w) << 12;
    if ((word & STATE_BITS) == (FREE_ENTRY & STATE_BITS)) {
        g->rax = level == 2 || dice(2) ? 3 : 6;
        if (g->rax == 6)
            g->r8 = free_block(w, ENTRIES, 0);
        return;
    }
    int leaf = word >> 7 & 1;
    for (uint64_t i = 0, head = 0; !leaf && i < ENTRIES; i++) {
        uint64_t child = w->table.at[HPA(word)].word.at[i] & ~TDHP;
        int none = (child & STATE_BITS) == (FREE_ENTRY & STATE_BITS);
        if (i == 0)
            head = child;
        if (!none && child == head + (i * size << 12) && !is_blocked_word(child) && (i || HPA(child) % (size * ENTRIES) == 0))
            continue;
        if (blocked) { /* it has to be open to be filled */
            g->rax = dice(2) ? 39 : 38, g->rcx = g->rax == 38 ? g->rdx : g->rcx;
            return;
        }
        g->rcx = (gfn + i * size) << 12 | (level - 1);
        g->rax = none ? 6 : !run || is_blocked_word(child) ? (dice(3) ? 29 : 38) : dice(4) ? 25 : 7;
        g->r8 = i ? (HPA(head) + i * size) << 12 : free_block(w, 1ull << shift, level == 1);
        if (g->rax == 38)
            g->rcx = g->rdx;
        return;
    }
    g->r12 = (uint64_t)free_page(w) << 12, g->r13 = (uint64_t)free_page(w) << 12;
    g->rax = run && !blocked ? 7 : run && dice(2) ? 38 : leaf ? 15 : 23;
    if (g->rax == 38)
        g->rcx = g->rdx;
}

/* The call that brings some TD on: nearer to a guest that runs, and has pages. */
static void next_of_a_life(world_t *w, unsigned lp)
{
    __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
    uint32_t td = 1 + dice(TDS), vcpu = 0;
    uint64_t tdr = (uint64_t)w->td.at[td].tdr << 12, page = (uint64_t)paired_page(w) << 12;
    for (uint32_t i = 1 + dice(VCPUS), n = 0; n < VCPUS && !vcpu; n++, i = i % VCPUS + 1)
        vcpu = w->tdvps.at[i].build.vm == td ? i : 0;
    uint64_t tdvpr = (uint64_t)w->tdvps.at[vcpu].build.tdvpr << 12;
    memset(g, 0, sizeof *g);
    g->rdx = tdr, g->rcx = page, g->r8 = page;
    if (!tdr)
        g->rax = 9, g->rdx = 2 + dice(HKIDS - 2);
    else if (w->td.at[td].lifecycle == 0)
        g->rax = 8, g->rcx = tdr;
    else if (w->td.at[td].build.num_tdcx < 2)
        g->rax = 1;
    else if (w->td.at[td].build.op_state == 0)
        g->rax = 21, g->rcx = tdr, g->rdx = 0;
    else if (!vcpu)
        g->rax = 10;
    else if (w->tdvps.at[vcpu].build.num_pages < 2)
        g->rax = 4, g->rdx = tdvpr;
    else if (w->tdvps.at[vcpu].build.state == 0)
        g->rax = 22, g->rcx = tdvpr;
    else if (w->td.at[td].build.op_state == 1 && dice(8) == 0)
        g->rax = 17, g->rcx = tdr;
    else if (w->td.at[td].build.op_state == 1 && dice(2))
        g->rax = dice(3) ? 2 : 16, g->rcx = dice(8) << 12;
    else if (w->td.at[td].build.op_state == 1)
        g->rax = 3, g->rcx = 1 + dice(2);
    else if (w->tdvps.at[vcpu].build.lp == lp + 1 || !w->tdvps.at[vcpu].build.lp)
        g->rax = 0, g->rcx = tdvpr;
    else if (dice(2))
        reshape(w, lp);
    else
        g->rax = dice(2) ? 6 : 3, g->rcx = g->rax == 6 ? dice(8) << 12 : 1 + dice(2);
}

/* The call that brings some TD nearer to its end. */
static void end_of_a_life(world_t *w, unsigned lp)
{
    __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
    uint32_t td = 1 + dice(TDS), vcpu = 1 + dice(VCPUS), page = dice(PAGES);
    uint64_t tdr = (uint64_t)w->td.at[td].tdr << 12;
    memset(g, 0, sizeof *g);
    for (int tries = 0; tries < 64 && (w->frame.at[page].owner != w->td.at[td].tdr || w->frame.at[page].type < REG || w->frame.at[page].type == TDR); tries++)
        page = dice(PAGES);
    g->rcx = tdr;
    if (w->td.at[td].build.associated && w->td.at[td].lifecycle == 1)
        g->rax = 18, g->rcx = (uint64_t)w->tdvps.at[vcpu].build.tdvpr << 12;
    else if (w->td.at[td].lifecycle < 2)
        g->rax = 19;
    else if (w->td.at[td].lifecycle == 2)
        g->rax = dice(2) ? 20 : 40, g->rcx = g->rax == 20 ? tdr : 0;
    else
        g->rax = 28, g->rcx = w->td.at[td].chldcnt ? (uint64_t)page << 12 : tdr;
}

static int dying;

static void random_seamcall(world_t *w, unsigned lp)
{
    __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
    if (dice(12) == 0)
        for (uint32_t vcpu = 1; vcpu <= VCPUS; vcpu++)
            if (w->tdvps.at[vcpu].build.lp == lp + 1) { /* it goes to another LP */
                memset(g, 0, sizeof *g);
                g->rax = 18, g->rcx = (uint64_t)w->tdvps.at[vcpu].build.tdvpr << 12;
                return;
            }
    if (dice(3) == 0) {
        if (dying)
            end_of_a_life(w, lp);
        else
            next_of_a_life(w, lp);
        return;
    }
    if (dice(12) == 0) {
        reshape(w, lp);
        return;
    }
    uint32_t leaf = LEAVES[dice(sizeof LEAVES)];
    memset(g, 0, sizeof *g);
    if (dice(100) == 0)
        leaf = 18;
    if (dice(600) == 0)
        leaf = (uint32_t[]){ 19, 20, 20, 20, 40, 40 }[dice(6)];
    g->rax = leaf;
    if (dice(64) == 0 || (leaf == 22 && dice(2)))
        g->rax |= 1 << 16;
    if (dice(512) == 0)
        g->rax = dice(1 << 30);
    g->rdx = a_tdr(w);
    g->r8 = an_address(w, paired_page(w));
    g->r12 = an_address(w, free_page(w));
    g->r13 = an_address(w, free_page(w));
    switch (leaf) {
    case 0: case 18: case 22: g->rcx = a_tdvpr(w); g->r8 = dice(4); break;
    case 1: case 10: g->rcx = an_address(w, paired_page(w)); break;
    case 4: g->rcx = an_address(w, paired_page(w)); g->rdx = a_tdvpr(w); break;
    case 8: case 17: case 19: case 20: case 38: g->rcx = a_tdr(w); break;
    case 21: g->rcx = a_tdr(w); g->rdx = dice(8) ? 0 : dice(4096); break;
    case 9: g->rcx = an_address(w, paired_page(w)); g->rdx = dice(HKIDS + 1); break;
    case 16: g->rcx = an_entry(0, 0) & ~0xFFFull; break;
    case 24: g->rcx = an_address(w, dice(PAGES)) | dice(3); break;
    case 28: case 41: g->rcx = an_address(w, dice(PAGES)); break;
    case 36: g->rcx = (uint64_t)ENTRIES * ENTRIES << 12; break;
    case 40: g->rcx = dice(2); break;
    case 45: case 33: break;
    case 58: case 59:
        g->rcx = (uint64_t)(a_page() / ENTRIES * ENTRIES) << 12 | 1;
        if (dice(64) == 0)
            g->rcx ^= 1ull << dice(64);
        g->rdx = an_address(w, free_page(w));
        g->r8 = an_address(w, free_page(w));
        break;
    default:
        g->rcx = an_entry(LEAST[leaf & 63], MOST[leaf & 63]);
        if (leaf == 7 && dice(6))
            g->rcx &= ~7ull;
        if (leaf == 3 && dice(8) == 0)
            g->rdx |= 1;
        if (leaf == 6 && (g->rcx & 7) == 1)
            g->r8 = (uint64_t)(free_page(w) / ENTRIES * ENTRIES) << 12;
    }
    if ((leaf == 7 || leaf == 29 || leaf == 5 || leaf == 38) && dice(3)) {
        uint64_t tdr = 0, cached = a_cached(w, &tdr);
        if (cached && leaf == 38)
            g->rcx = tdr;
        else if (cached)
            g->rcx = cached & ~(1ull << 63), g->rdx = tdr;
    }
}

static uint32_t random_call(world_t *w, unsigned lp)
{
    if (w->lp.at[lp].vcpu) {
        __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
        memset(g, 0, sizeof *g);
        w->tdvps.at[w->lp.at[lp].vcpu].build.stepping.rip += dice(2);
        uint64_t tdr = 0, cached = dice(4) ? a_cached(w, &tdr) : 0;
        if (cached && tdr == (uint64_t)w->td.at[w->tdvps.at[w->lp.at[lp].vcpu].build.vm].tdr << 12) {
            g->rcx = (cached & ~(1ull << 63)) & ~7ull;
            return ACCESS;
        }
        switch (dice(32)) {
        case 0: return INTERRUPT;
        case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 10: case 11: case 12: case 13: g->rax = dice(16) ? 6 : dice(64) ? 23 + dice(2) : dice(8); g->rcx = dice(4) ? dice(8) << 12 : an_entry(0, 1); return TDCALL;
        case 8: case 9: g->rcx = (GFNS / 2 + dice(GFNS / 2)) << 12; return ACCESS;
        default: g->rcx = dice(4) ? dice(8) << 12 : an_entry(0, 0) & ~7ull; g->rdx = dice(2); return ACCESS;
        }
    }
    if (dice(w->lp.at[lp].interrupt ? 20 : 400) == 0)
        w->lp.at[lp].interrupt = !w->lp.at[lp].interrupt;
    w->sys.no_entropy = dice(64) == 0;
    random_seamcall(w, lp);
    return SEAMCALL;
}

/* The page that an entry names for a GPA, blocked or not; 0 if none does. */
static uint64_t named(world_t *w, unsigned td, uint64_t gfn)
{
    uint32_t table = w->td.at[td].root;
    for (int level = LEVELS - 1; table; level--) {
        uint64_t word = w->table.at[table].word.at[gfn >> (ENTRY_BITS * level) & (ENTRIES - 1)];
        uint64_t size = 1ull << (ENTRY_BITS * level);
        if (word & 1 << 7)
            return HPA(word) / size * size + gfn % size;
        if ((word & STATE_BITS) == (FREE_ENTRY & STATE_BITS) || !level)
            return 0;
        table = (uint32_t)HPA(word);
    }
    return 0;
}

/* -- what holds when no leaf runs */

static uint32_t references[PAGES];

static int check_leaf(world_t *w, report_t *report, unsigned td, uint64_t word, int level, int counted)
{
    uint64_t size = 1;
    for (int i = 0; i < level; i++)
        size *= ENTRIES;
    uint64_t page = HPA(word) / size * size;
    uint8_t type = level == 2 ? w->gig.at[page / (ENTRIES * ENTRIES)].type : level == 1 ? w->pamt.at[page / ENTRIES].type : w->frame.at[page].type;
    uint32_t owner = level == 2 ? w->gig.at[page / (ENTRIES * ENTRIES)].owner : level == 1 ? w->pamt.at[page / ENTRIES].large.owner : w->frame.at[page].owner;
    uint64_t bepoch = level == 2 ? w->gig.at[page / (ENTRIES * ENTRIES)].bepoch : level == 1 ? w->pamt.at[page / ENTRIES].large.bepoch : w->frame.at[page].bepoch;
    MUST(type == REG && owner == w->td.at[td].tdr, "a leaf of td %u at level %d names page %lu, which is type %u of TDR %u", td, level, (unsigned long)page, type, owner);
    MUST(level == 0 || !w->gig.at[page / (ENTRIES * ENTRIES)].type || level == 2, "page %lu is part of a 1G page too", (unsigned long)page);
    if (is_blocked_word(word))
        MUST(bepoch <= w->td.at[td].epoch, "BEPOCH of page %lu is ahead of TD_EPOCH", (unsigned long)page);
    if (counted)
        for (uint64_t i = 0; i < size; i++)
            references[page + i]++;
    return 0;
}

static int check_table(world_t *w, report_t *report, unsigned td, uint32_t table, int level)
{
    for (int i = 0; i < ENTRIES; i++) {
        uint64_t word = w->table.at[table].word.at[i], bits = word & STATE_BITS;
        MUST(!(word & TDEL), "an entry of page %u is locked although no leaf runs", table);
        if (bits == (FREE_ENTRY & STATE_BITS)) {
            MUST((word & ~TDHP) == FREE_ENTRY, "a free entry of page %u is %#lx", table, (unsigned long)word);
            continue;
        }
        if (word & 1 << 7) {
            if (check_leaf(w, report, td, word, level, 1))
                return 1;
            continue;
        }
        uint32_t below = (uint32_t)HPA(word);
        MUST(level > 0, "a table below 4K in page %u", table);
        MUST(w->frame.at[below].type == EPT && w->frame.at[below].owner == w->td.at[td].tdr, "td %u has a table %u that is type %u", td, below, w->frame.at[below].type);
        references[below]++;
        if (is_blocked_word(word))
            MUST(w->frame.at[below].bepoch <= w->td.at[td].epoch, "BEPOCH of table %u is ahead of TD_EPOCH", below);
        if (check_table(w, report, td, below, level - 1))
            return 1;
    }
    return 0;
}

static int check_tds(world_t *w, report_t *report)
{
    memset(references, 0, sizeof references);
    for (unsigned td = 1; td <= TDS; td++) {
        if (!w->td.at[td].tdr)
            continue;
        uint32_t tdr = w->td.at[td].tdr;
        uint64_t pages = 0, inside = 0, associated = 0;
        MUST(w->frame.at[tdr].type == TDR && w->frame.at[tdr].owner == td, "the TDR of td %u is type %u", td, w->frame.at[tdr].type);
        if (w->td.at[td].root && w->td.at[td].lifecycle != 3 && check_table(w, report, td, w->td.at[td].root, LEVELS - 1))
            return 1;
        for (uint32_t page = 0; page < PAGES; page++) {
            uint8_t type = w->frame.at[page].type;
            if (w->frame.at[page].owner == tdr && (type == REG || type == TDCX || type == TDVPR || type == EPT))
                pages++;
            if (w->td.at[td].lifecycle != 3 && w->frame.at[page].owner == tdr && (type == REG || type == EPT))
                MUST(references[page] == 1, "page %u of td %u (type %u) is named by %u entries", page, td, type, references[page]);
        }
        for (uint32_t r = 0; r < PAGES / ENTRIES; r++) {
            if (w->pamt.at[r].type != REG || w->pamt.at[r].large.owner != tdr)
                continue;
            pages += ENTRIES;
            MUST(w->td.at[td].lifecycle == 3 || references[r * ENTRIES] == 1, "the 2M page %u of td %u is named by %u entries", r * ENTRIES, td, references[r * ENTRIES]);
        }
        for (uint32_t g = 0; g < PAGES / ENTRIES / ENTRIES; g++) {
            uint32_t first = g * ENTRIES * ENTRIES;
            if (w->gig.at[g].type != REG || w->gig.at[g].owner != tdr)
                continue;
            pages += ENTRIES * ENTRIES;
            MUST(w->td.at[td].lifecycle == 3 || references[first] == 1, "the 1G page %u of td %u is named by %u entries", first, td, references[first]);
            for (uint32_t i = 0; i < ENTRIES * ENTRIES; i++)
                MUST(w->frame.at[first + i].type == NDA && w->pamt.at[(first + i) / ENTRIES].type == NDA, "page %u is part of a 1G page and has a type", first + i);
        }
        MUST(pages == w->td.at[td].chldcnt, "td %u has %lu pages and CHLDCNT %lu", td, (unsigned long)pages, (unsigned long)w->td.at[td].chldcnt);
        for (unsigned vcpu = 1; vcpu <= VCPUS; vcpu++) {
            inside += w->tdvps.at[vcpu].build.vm == td && w->tdvps.at[vcpu].build.in_guest;
            associated += w->tdvps.at[vcpu].build.vm == td && w->tdvps.at[vcpu].build.lp;
        }
        MUST(inside == (uint64_t)w->td.at[td].refcount.at[0] + w->td.at[td].refcount.at[1], "td %u: REFCOUNT is not the number of vCPUs inside", td);
        MUST(associated == w->td.at[td].build.associated, "td %u: %lu vCPUs are associated, counted %u", td, (unsigned long)associated, w->td.at[td].build.associated);
    }
    return 0;
}

static int check_pairs(world_t *w, report_t *report)
{
    static uint32_t pairs[PAGES];
    memset(pairs, 0, sizeof pairs);
    for (uint32_t r = 0; r < PAGES / ENTRIES; r++) {
        uint32_t used = 0, held = 0;
        for (int i = 0; i < ENTRIES; i++) {
            uint8_t type = w->frame.at[r * ENTRIES + i].type;
            used += type != NDA && type != RSVD && type != PAMT;
            held += type == RSVD || type == PAMT;
        }
        if (w->pamt.at[r].type == PAMT) {
            MUST(DYNAMIC, "range %u has a pair without Dynamic PAMT", r);
            MUST(w->pamt.at[r].count == used, "range %u counts %u pages, %u are in use", r, w->pamt.at[r].count, used);
            pairs[w->pamt.at[r].page0]++;
            pairs[w->pamt.at[r].page1]++;
        } else {
            MUST(!DYNAMIC || !used, "range %u has pages in use at 4K and no pair", r);
            MUST(w->pamt.at[r].type != REG || !(used + held), "range %u is a 2M page with parts in use", r);
        }
    }
    for (uint32_t page = 0; page < PAGES; page++)
        MUST(pairs[page] == (w->frame.at[page].type == PAMT), "page %u is in %u pairs and its bitmap bit is %u", page, pairs[page], w->frame.at[page].type == PAMT);
    return 0;
}

static int check_locks(world_t *w, report_t *report)
{
    static uint32_t frames[PAGES], ranges[PAGES], gigs[PAGES];
    memset(frames, 0, sizeof frames);
    memset(ranges, 0, sizeof ranges);
    memset(gigs, 0, sizeof gigs);
    for (unsigned lp = 0; lp < LPS; lp++) {
        uint32_t vcpu = w->lp.at[lp].vcpu;
        if (!vcpu)
            continue;
        uint32_t page = w->tdvps.at[vcpu].build.tdvpr;
        frames[page]++, ranges[page / ENTRIES]++, gigs[page / ENTRIES / ENTRIES]++;
        frames[w->td.at[w->tdvps.at[vcpu].build.vm].tdr]++;
    }
    for (uint32_t page = 0; page < PAGES; page++)
        MUST(w->frame.at[page].lock.readers == frames[page] && !w->frame.at[page].lock.exclusive, "the lock of page %u is held", page);
    for (uint32_t r = 0; r < PAGES / ENTRIES; r++)
        MUST(w->pamt.at[r].lock.readers == ranges[r] && !w->pamt.at[r].lock.exclusive, "the lock of range %u is held", r);
    for (uint32_t g = 0; g < PAGES / ENTRIES / ENTRIES; g++)
        MUST(w->gig.at[g].lock.readers == gigs[g] && !w->gig.at[g].lock.exclusive, "the lock of block %u is held", g);
    for (unsigned td = 1; td <= TDS; td++)
        MUST(!w->td.at[td].tree.readers && !w->td.at[td].tree.exclusive && !w->td.at[td].epoch_lock.readers && !w->td.at[td].epoch_lock.exclusive && !w->td.at[td].build.op_lock.readers, "a lock of td %u is held", td);
    for (unsigned package = 0; package < PACKAGES_OF_LPS; package++)
        MUST(!w->package.at[package].lock.exclusive && !w->package.at[package].key_lock.exclusive, "a lock of package %u is held", package);
    MUST(!w->kot_lock.readers && !w->kot_lock.exclusive && !w->sys.lock.exclusive, "a lock of the module is held");
    return 0;
}

/* What a guest could still use: of an LP that runs it, or would run it again without a flush. */
static int check_tlbs(world_t *w, report_t *report)
{
    for (unsigned lp = 0; lp < LPS; lp++) {
        uint32_t vcpu = w->lp.at[lp].last, vm = w->tdvps.at[vcpu].build.vm;
        if (!vcpu || (!w->lp.at[lp].vcpu && (w->tdvps.at[vcpu].build.lp != lp + 1 || w->tdvps.at[vcpu].epoch != w->td.at[vm].epoch)))
            continue;
        for (int i = 0; i < TLB; i++) {
            __typeof__(w->lp.at[lp].tlb.at[i]) *entry = &w->lp.at[lp].tlb.at[i];
            if (entry->vm != vm || !entry->level)
                continue;
            MUST(named(w, vm, entry->gfn) == entry->page, "LP %u may use a translation to page %u, which td %u has no more", lp, entry->page, vm);
        }
    }
    return 0;
}

static int check_world(world_t *w, report_t *report)
{
    report->checked++;
    return check_tds(w, report) || check_pairs(w, report) || check_tlbs(w, report);
}

/* -- a call that failed changed nothing but its marks */

/* What each byte of a state is: CONTENT, a lock, an entry of a table, what VP.ENTER or a guest may change although they fail (the
 * association of a vCPU and its epoch, tdx-module.md 9.1; where the guest is), or an LP's own. */
enum { CONTENT, LOCK, ENTRY, ENTERED, GUEST, OWN };

enum { BLOCK = 256 };
static uint8_t kinds[STATE_SIZE], before[STATE_SIZE], start[STATE_SIZE], touched[STATE_SIZE / BLOCK + 1];

static void mark(uint8_t *state, void *at, size_t size, uint8_t kind)
{
    memset(kinds + ((uint8_t *)at - state), kind, size);
}

#define IS(kind, field) mark(state, &(field), sizeof(field), kind)

static void know_kinds(uint8_t *state)
{
    world_t *w = world_of(state);
    for (uint32_t page = 0; page < PAGES; page++) {
        IS(LOCK, w->frame.at[page].lock);
        IS(ENTRY, w->table.at[page]);
        IS(LOCK, w->pamt.at[page / ENTRIES].lock);
        IS(LOCK, w->gig.at[page / ENTRIES / ENTRIES].lock);
    }
    for (unsigned td = 0; td <= TDS; td++) {
        IS(LOCK, w->td.at[td].tree);
        IS(LOCK, w->td.at[td].epoch_lock);
        IS(LOCK, w->td.at[td].build.op_lock);
        IS(ENTERED, w->td.at[td].refcount);
        IS(ENTERED, w->td.at[td].build.associated);
    }
    for (unsigned vcpu = 0; vcpu <= VCPUS; vcpu++) {
        IS(ENTERED, w->tdvps.at[vcpu].epoch);
        IS(ENTERED, w->tdvps.at[vcpu].build.lp);
        IS(GUEST, w->tdvps.at[vcpu].build.stepping);
        IS(GUEST, w->tdvps.at[vcpu].build.busy_since);
    }
    for (unsigned package = 0; package < PACKAGES_OF_LPS; package++) {
        IS(LOCK, w->package.at[package].lock);
        IS(LOCK, w->package.at[package].key_lock);
    }
    for (unsigned lp = 0; lp < LPS; lp++) {
        IS((uint8_t)(OWN + lp), w->lp.at[lp]);
        mark(state, frame_of(state, lp), FRAME_SIZE, (uint8_t)(OWN + lp));
    }
    IS(LOCK, w->kot_lock);
    IS(LOCK, w->sys.lock);
}

/* What a call has done so far: the first byte of each kind that it changed, plus one, and host priority bits that it set. */
typedef struct deeds {
    size_t content, entered, guest, garbage;
    uint32_t marks;
} deeds_t;

static size_t offset_of_tables(world_t *w)
{
    return (size_t)((uint8_t *)&w->table.at[0] - (uint8_t *)w);
}

static void note_entry(world_t *w, size_t at, uint64_t was, uint64_t is, deeds_t *deeds)
{
    if ((was ^ is) & ~(TDEL | TDHP)) {
        uint32_t page = (uint32_t)((at - offset_of_tables(w)) / sizeof w->table.at[0]);
        *(w->frame.at[page].type == NDA ? &deeds->garbage : &deeds->content) = at + 1;
    }
    deeds->marks += (is & ~was & TDHP) != 0;
}

static void note_word(uint8_t *state, unsigned lp, size_t at, deeds_t *deeds)
{
    uint64_t was, is;
    memcpy(&was, before + at, 8);
    memcpy(&is, state + at, 8);
    if (was != is && kinds[at] == ENTRY)
        note_entry(world_of(state), at, was, is, deeds);
    for (size_t byte = at; was != is && byte < at + 8 && kinds[at] != ENTRY; byte++)
        if (before[byte] != state[byte] && kinds[byte] != LOCK && kinds[byte] != OWN + lp)
            *(kinds[byte] == ENTERED ? &deeds->entered : kinds[byte] == GUEST ? &deeds->guest : &deeds->content) = byte + 1;
}

/* What a step did, block by block; `before` is the state again then. */
static void note_deeds(uint8_t *state, unsigned lp, deeds_t *deeds)
{
    for (size_t block = 0; block < STATE_SIZE; block += BLOCK) {
        size_t size = block + BLOCK <= STATE_SIZE ? BLOCK : STATE_SIZE - block;
        if (!memcmp(before + block, state + block, size))
            continue;
        for (size_t at = block; at + 8 <= block + size; at += 8)
            note_word(state, lp, at, deeds);
        memcpy(before + block, state + block, size);
        touched[block / BLOCK] = 1;
    }
}

/* What the rounds so far have left: a round that stops the module is undone. */
static void keep_round(const uint8_t *state)
{
    for (size_t block = 0; block < STATE_SIZE; block += BLOCK)
        if (touched[block / BLOCK])
            memcpy(start + block, state + block, block + BLOCK <= STATE_SIZE ? BLOCK : STATE_SIZE - block);
    memset(touched, 0, sizeof touched);
}

/* Locks apart, which `check_locks` finds open after the round: what a call that did not do its work may have done. */
static int forgivable(report_t *report, deeds_t *deeds, uint32_t entry, uint32_t leaf, unsigned status, unsigned low)
{
    MUST(!deeds->content, "leaf %u fails with status %u and changes byte %zu of the world", leaf, status, deeds->content - 1);
    MUST(!deeds->garbage || leaf == 15, "leaf %u fails with status %u and writes to a page of the host", leaf, status);
    MUST(!deeds->entered || leaf == 0, "leaf %u fails with status %u and changes a vCPU", leaf, status);
    MUST(!deeds->guest || leaf == 0 || entry == TDCALL, "leaf %u fails with status %u and changes a guest", leaf, status);
    MUST(deeds->marks <= (entry == SEAMCALL && status == BUSY && low == 1), "leaf %u fails with status %u and leaves %u marks", leaf, status, deeds->marks);
    return 0;
}

/* -- rounds */

/* 0: it goes on, or has ended; 1: something is wrong; 2: the module stopped for good, as the reference says it would. */
static int one_step(uint8_t *state, report_t *report, unsigned lp, uint32_t entry, deeds_t *deeds, int *ended)
{
    step_t step = { 0, -1, 0 };
    int rc = module_step(state, lp, &step);
    report->steps++;
    *ended = rc != 0;
    if (rc == 2 && model_ignored[step.failure]) {
        report->pruned++;
        return 2;
    }
    if (rc == 2)
        WRONG("an assertion fails: site %d", step.failure);
    note_deeds(state, lp, deeds);
    if (rc != 1)
        return 0;
    world_t *w = world_of(state);
    unsigned status = w->lp.at[lp].status;
    uint32_t leaf = entry == SEAMCALL ? w->lp.at[lp].given.rax & 63 : 100;
    if (entry == SEAMCALL && !status && (w->lp.at[lp].given.rcx & 7) == 2)
        report->merged += leaf == 23, report->split += leaf == 15;
    if (entry == SEAMCALL)
        report->seen[leaf][status]++;
    else
        report->guest[w->lp.at[lp].event][entry == TDCALL ? status : 0]++;
    if (entry == ACCESS && w->lp.at[lp].event == DONE) {
        uint32_t vm = w->tdvps.at[w->lp.at[lp].vcpu].build.vm;
        uint64_t reached = w->lp.at[lp].answer.rcx >> 12, wanted = named(w, vm, w->lp.at[lp].given.rcx >> 12);
        MUST(reached == wanted, "a guest reaches page %lu where the Secure EPT of td %u names %lu", (unsigned long)reached, vm, (unsigned long)wanted);
    }
    if ((entry == SEAMCALL || entry == TDCALL) && status && status != RESUMABLE && w->lp.at[lp].event != EXIT) {
        report->errors++;
        return forgivable(report, deeds, entry, leaf, status, w->lp.at[lp].low);
    }
    return 0;
}

/* Racers meet more often on one entry than by chance. */
static void meet(world_t *w, unsigned first, uint32_t entry, unsigned lp, uint32_t mine)
{
    uint64_t rcx = w->lp.at[first].given.rcx, rdx = w->lp.at[first].given.rdx;
    uint32_t leaf = w->lp.at[first].given.rax & 63;
    if (entry == TDCALL && mine == SEAMCALL) {
        __typeof__(w->lp.at[lp].given) *g = &w->lp.at[lp].given;
        g->rax = (uint32_t[]){ 7, 7, 25, 29, 6 }[dice(5)], g->rcx = rcx;
        g->rdx = (uint64_t)w->td.at[w->tdvps.at[w->lp.at[first].vcpu].build.vm].tdr << 12;
    }
    if (entry != SEAMCALL || !(leaf == 3 || leaf == 6 || leaf == 7 || leaf == 25 || leaf == 29 || leaf == 39 || leaf == 15 || leaf == 23))
        return;
    if (mine == SEAMCALL)
        w->lp.at[lp].given.rcx = rcx, w->lp.at[lp].given.rdx = rdx;
    else if (mine == TDCALL)
        w->lp.at[lp].given.rax = dice(4) ? 6 : 24, w->lp.at[lp].given.rcx = dice(2) ? rcx : rcx & ~7ull;
}

/* A call that stopped the module keeps the locks of its earlier steps: its round is undone as a whole. */
static int round_of(uint8_t *state, report_t *report, int racers)
{
    uint32_t entry[LPS], order[LPS];
    deeds_t deeds[LPS];
    int running = racers, ended[LPS] = { 0 }, changed = 0;
    keep_round(state);
    memset(deeds, 0, sizeof deeds);
    for (int i = 0; i < racers; i++) {
        order[i] = racers == 1 ? dice(LPS) : (uint32_t)i;
        entry[i] = random_call(world_of(state), order[i]);
        if (i && dice(2))
            meet(world_of(state), order[0], entry[0], order[i], entry[i]);
        module_begin(state, order[i], entry[i]);
        report->calls++;
    }
    report->races += racers > 1;
    memcpy(before, state, STATE_SIZE);
    while (running) {
        int i = (int)dice((uint32_t)racers);
        if (ended[i])
            continue;
        int rc = one_step(state, report, order[i], entry[i], &deeds[i], &ended[i]);
        if (rc == 2) {
            memcpy(state, start, STATE_SIZE);
            return 0;
        }
        if (rc)
            return rc;
        running -= ended[i];
        changed |= ended[i] && (deeds[i].content || deeds[i].entered);
    }
    return check_locks(world_of(state), report) || (changed && check_world(world_of(state), report));
}

/* -- the end: everything can be reclaimed */

static unsigned call_now(uint8_t *state, unsigned lp, uint32_t entry, uint64_t rax, uint64_t rcx)
{
    step_t step = { 0, -1, 0 };
    world_t *w = world_of(state);
    memset(&w->lp.at[lp].given, 0, sizeof w->lp.at[lp].given);
    w->lp.at[lp].given.rax = rax;
    w->lp.at[lp].given.rcx = rcx;
    module_run(state, lp, entry, &step);
    return w->lp.at[lp].status;
}

static int reclaim_all(uint8_t *state, report_t *report)
{
    world_t *w = world_of(state);
    for (unsigned lp = 0; lp < LPS; lp++) {
        if (w->lp.at[lp].vcpu)
            call_now(state, lp, INTERRUPT, 0, 0);
        w->lp.at[lp].interrupt = 0;
    }
    for (unsigned vcpu = 1; vcpu <= VCPUS; vcpu++)
        if (w->tdvps.at[vcpu].build.tdvpr && w->tdvps.at[vcpu].build.lp)
            call_now(state, w->tdvps.at[vcpu].build.lp - 1, SEAMCALL, 18, (uint64_t)w->tdvps.at[vcpu].build.tdvpr << 12);
    for (unsigned td = 1; td <= TDS; td++)
        if (w->td.at[td].tdr)
            call_now(state, 0, SEAMCALL, 19, (uint64_t)w->td.at[td].tdr << 12);
    for (unsigned lp = 0; lp < PACKAGES_OF_LPS; lp++)
        call_now(state, lp, SEAMCALL, 40, 0);
    for (unsigned td = 1; td <= TDS; td++)
        if (w->td.at[td].tdr)
            call_now(state, 0, SEAMCALL, 20, (uint64_t)w->td.at[td].tdr << 12);
    for (int roots = 0; roots < 2; roots++)
        for (uint32_t page = 0; page < PAGES; page++)
            if ((w->frame.at[page].type == TDR) == roots)
                call_now(state, 0, SEAMCALL, 28, (uint64_t)page << 12);
    for (uint32_t r = 0; DYNAMIC && r < PAGES / ENTRIES; r++)
        call_now(state, 0, SEAMCALL, 59, (uint64_t)r * ENTRIES << 12 | 1);
    for (uint32_t page = 0; page < PAGES; page++)
        MUST(w->frame.at[page].type == NDA || w->frame.at[page].type == RSVD, "page %u cannot be had back: it is type %u", page, w->frame.at[page].type);
    for (uint32_t r = 0; r < PAGES / ENTRIES; r++)
        MUST(w->pamt.at[r].type == NDA, "range %u cannot be had back: it is type %u", r, w->pamt.at[r].type);
    for (unsigned td = 1; td <= TDS; td++)
        MUST(!w->td.at[td].tdr, "td %u cannot be had back", td);
    for (unsigned vcpu = 1; vcpu <= VCPUS; vcpu++)
        MUST(!w->tdvps.at[vcpu].build.tdvpr, "vCPU %u cannot be had back", vcpu);
    for (unsigned hkid = 2; hkid < HKIDS; hkid++)
        MUST(!w->kot.at[hkid].state, "HKID %u cannot be had back: it is in state %u", hkid, w->kot.at[hkid].state);
    return check_locks(w, report) || check_world(w, report);
}

/* `calls` random calls from the state, with an end every `life` calls; nonzero if something is wrong, which `wrong` says. */
int random_calls(uint8_t *state, uint64_t seed, uint64_t calls, uint64_t life, report_t *report)
{
    uint64_t next = life;
    memset(report, 0, sizeof *report);
    dice_state = seed * 0x9E3779B97F4A7C15ull + 1;
    know_kinds(state);
    memcpy(start, state, STATE_SIZE);
    while (report->calls < calls) {
        report->at = report->calls;
        dying = next - report->calls < life / 5;
        if (round_of(state, report, dice(3) ? 1 : 2 + (int)dice(LPS - 1)))
            return 1;
        if (report->calls >= next) {
            next += life;
            if (reclaim_all(state, report))
                return 1;
            memcpy(start, state, STATE_SIZE);
        }
    }
    return reclaim_all(state, report);
}
