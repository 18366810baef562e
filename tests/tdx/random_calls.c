/* Random SEAMCALLs, TDCALLs and guest accesses on every LP, valid, malformed and racing, with what must hold after them.
 * Behind the generated model; ENTRIES, LEVELS and the like come as macros from test_random.py. */

enum { SEAMCALL, TDCALL, ACCESS, INTERRUPT };
enum { NDA = 0, RSVD = 1, REG = 3, TDR = 4, TDCX = 5, TDVPR = 6, EPT = 8, PAMT = 15 };
enum { FREE, NL, LEAF_MAPPED, OTHER };
#define TDEL (1ull << 11)
#define TDHP (1ull << 52)
#define FREE_ENTRY 0x80E0000000000000ull
#define STATE_BITS (1ull << 7 | 1ull << 56 | 7ull << 53)
#define HPA(word) (((word) & 0xFFFFFFFFFF000ull) >> 12)
#define is_blocked_word(word) (((word) & STATE_BITS) != (FREE_ENTRY & STATE_BITS) && ((word) >> 55 & 1))

typedef struct report {
    uint64_t calls, steps, races, pruned, errors, checked;
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

static uint32_t free_page(world_t *w)
{
    for (int tries = 0; tries < 12; tries++) {
        uint32_t page = dice(PAGES);
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
        g->rax = 39, g->rcx = (uint64_t)(dice(8) << 12) | dice(3);
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
    for (int tries = 0; tries < 64 && (w->frame.at[page].owner != td || w->frame.at[page].type < REG || w->frame.at[page].type == TDR); tries++)
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
    if (dice(3) == 0) {
        if (dying)
            end_of_a_life(w, lp);
        else
            next_of_a_life(w, lp);
        return;
    }
    uint32_t leaf = LEAVES[dice(sizeof LEAVES)];
    memset(g, 0, sizeof *g);
    if (dice(300) == 0)
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
        g->rcx = (uint64_t)(dice(PAGES) / ENTRIES * ENTRIES) << 12 | 1;
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
        case 1: case 2: case 3: case 4: case 5: case 6: case 7: g->rax = dice(64) ? 6 : dice(8); g->rcx = dice(4) ? dice(8) << 12 : an_entry(0, 1); return TDCALL;
        default: g->rcx = dice(4) ? dice(8) << 12 : an_entry(0, 0) & ~7ull; g->rdx = dice(2); return ACCESS;
        }
    }
    if (dice(w->lp.at[lp].interrupt ? 20 : 400) == 0)
        w->lp.at[lp].interrupt = !w->lp.at[lp].interrupt;
    w->sys.no_entropy = dice(64) == 0;
    random_seamcall(w, lp);
    return SEAMCALL;
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
    MUST(type == REG && owner == td, "a leaf of td %u at level %d names page %lu, which is type %u of td %u", td, level, (unsigned long)page, type, owner);
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
        MUST(w->frame.at[below].type == EPT && w->frame.at[below].owner == td, "td %u has a table %u that is type %u", td, below, w->frame.at[below].type);
        references[below]++;
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
            if (w->frame.at[page].owner == td && (type == REG || type == TDCX || type == TDVPR || type == EPT))
                pages++;
            if (w->td.at[td].lifecycle != 3 && w->frame.at[page].owner == td && (type == REG || type == EPT))
                MUST(references[page] == 1, "page %u of td %u (type %u) is named by %u entries", page, td, type, references[page]);
        }
        for (uint32_t r = 0; r < PAGES / ENTRIES; r++)
            pages += w->pamt.at[r].type == REG && w->pamt.at[r].large.owner == td ? ENTRIES : 0;
        for (uint32_t g = 0; g < PAGES / ENTRIES / ENTRIES; g++)
            pages += w->gig.at[g].type == REG && w->gig.at[g].owner == td ? ENTRIES * ENTRIES : 0;
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
        MUST(!w->td.at[td].tree.readers && !w->td.at[td].tree.exclusive && !w->td.at[td].epoch_lock.readers && !w->td.at[td].epoch_lock.exclusive, "a lock of td %u is held", td);
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
            uint32_t page = entry->page;
            int at4k = w->frame.at[page].type == REG && w->frame.at[page].owner == vm;
            int at2m = w->pamt.at[page / ENTRIES].type == REG && w->pamt.at[page / ENTRIES].large.owner == vm;
            int at1g = w->gig.at[page / ENTRIES / ENTRIES].type == REG && w->gig.at[page / ENTRIES / ENTRIES].owner == vm;
            MUST(at4k || at2m || at1g, "LP %u may use a translation to page %u, which td %u has no more", lp, page, vm);
        }
    }
    return 0;
}

static int check_world(world_t *w, report_t *report)
{
    report->checked++;
    return check_tds(w, report) || check_pairs(w, report) || check_locks(w, report) || check_tlbs(w, report);
}

/* -- a call that failed changed nothing but its marks */

static uint8_t before[STATE_SIZE], after[STATE_SIZE];

static int is_error(unsigned status)
{
    return (ERRORS[status / 8] >> status % 8) & 1;
}

static void without_marks(uint8_t *state, unsigned lp, int entering)
{
    world_t *w = world_of(state);
    memset(&w->lp.at[lp], 0, sizeof w->lp.at[lp]);
    memset(frame_of(state, lp), 0, FRAME_SIZE);
    for (uint32_t page = 0; page < PAGES; page++)
        for (int i = 0; i < ENTRIES; i++)
            if (w->frame.at[page].type == NDA)
                w->table.at[page].word.at[i] = 0; /* the host's own, in which DEMOTE may have written */
            else
                w->table.at[page].word.at[i] &= ~TDHP;
    if (entering) { /* the association stays, and what the entry had begun is given back in a later step */
        for (unsigned td = 0; td <= TDS; td++)
            w->td.at[td].build.associated = 0, memset(&w->td.at[td].refcount, 0, 2), memset(&w->td.at[td].epoch_lock, 0, 2);
        for (unsigned vcpu = 0; vcpu <= VCPUS; vcpu++)
            w->tdvps.at[vcpu].build.lp = 0, w->tdvps.at[vcpu].epoch = 0, w->tdvps.at[vcpu].build.stepping.entry_rip = 0;
        for (uint32_t page = 0; page < PAGES; page++)
            memset(&w->frame.at[page].lock, 0, 2), memset(&w->pamt.at[page / ENTRIES].lock, 0, 2), memset(&w->gig.at[page / ENTRIES / ENTRIES].lock, 0, 2);
    }
}

static int unchanged(const uint8_t *old, uint8_t *state, report_t *report, unsigned lp, uint32_t leaf, unsigned status)
{
    static uint8_t one[STATE_SIZE], two[STATE_SIZE];
    memcpy(one, old, STATE_SIZE);
    memcpy(two, state, STATE_SIZE);
    without_marks(one, lp, leaf == 0);
    without_marks(two, lp, leaf == 0);
    if (memcmp(one, two, STATE_SIZE)) {
        size_t at = 0;
        while (one[at] == two[at])
            at++;
        WRONG("leaf %u fails with status %u and changes byte %zu of the world", leaf, status, at);
    }
    return 0;
}

/* -- rounds */

static int one_step(uint8_t *state, report_t *report, unsigned lp, uint32_t entry, int *ended)
{
    step_t step = { 0, -1, 0 };
    memcpy(before, state, WORLD_SIZE + LPS * FRAME_SIZE);
    int rc = module_step(state, lp, &step);
    report->steps++;
    *ended = rc != 0;
    if (rc == 2 && model_ignored[step.failure]) { /* the module stopped for good, as the reference says it would: not here */
        memcpy(state, before, WORLD_SIZE + LPS * FRAME_SIZE);
        world_of(state)->lp.at[lp].status = 0;
        report->pruned++;
        return 2;
    }
    if (rc == 2)
        WRONG("an assertion fails: site %d", step.failure);
    if (rc != 1)
        return 0;
    world_t *w = world_of(state);
    unsigned status = w->lp.at[lp].status;
    uint32_t leaf = entry == SEAMCALL ? w->lp.at[lp].given.rax & 63 : 100;
    if (entry == SEAMCALL)
        report->seen[leaf][status]++;
    else if (entry == TDCALL)
        report->guest[w->lp.at[lp].event][status]++;
    else
        report->guest[w->lp.at[lp].event][0]++;
    if (entry != ACCESS && entry != INTERRUPT && is_error(status) && status != RESUMABLE) {
        report->errors++;
        return unchanged(before, state, report, lp, leaf, status);
    }
    return 0;
}

/* A pruned call keeps the locks of its earlier steps: its round is undone as a whole. */
static int round_of(uint8_t *state, report_t *report, int racers)
{
    static uint8_t start[STATE_SIZE];
    uint32_t entry[LPS], order[LPS];
    int running = 0, ended[LPS], rc = 0;
    memcpy(start, state, STATE_SIZE);
    for (int i = 0; i < racers; i++) {
        order[i] = (uint32_t)i;
        ended[i] = 1;
    }
    for (int i = 0; i < racers; i++) {
        unsigned lp = racers == 1 ? dice(LPS) : order[i];
        order[i] = lp;
        entry[i] = random_call(world_of(state), lp);
        module_begin(state, lp, entry[i]);
        ended[i] = 0;
        running++;
        report->calls++;
    }
    report->races += racers > 1;
    while (running) {
        int i = (int)dice((uint32_t)racers);
        if (ended[i])
            continue;
        rc = one_step(state, report, order[i], entry[i], &ended[i]);
        if (rc == 2) {
            memcpy(state, start, STATE_SIZE);
            return 0;
        }
        if (rc)
            return rc;
        running -= ended[i];
    }
    return check_world(world_of(state), report);
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
    return check_world(w, report);
}

/* `calls` random calls from the state, with an end every `life` calls; nonzero if something is wrong, which `wrong` says. */
int random_calls(uint8_t *state, uint64_t seed, uint64_t calls, uint64_t life, report_t *report)
{
    uint64_t next = life;
    memset(report, 0, sizeof *report);
    dice_state = seed * 0x9E3779B97F4A7C15ull + 1;
    while (report->calls < calls) {
        report->at = report->calls;
        dying = next - report->calls < life / 5;
        if (round_of(state, report, dice(3) ? 1 : 2 + (int)dice(LPS - 1)))
            return 1;
        if (report->calls >= next) {
            next += life;
            if (reclaim_all(state, report))
                return 1;
        }
    }
    return reclaim_all(state, report);
}
