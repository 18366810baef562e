/* Loops of benchmarks/tdx.py, behind the module's C: calls without Python between them. */

static unsigned call4(uint8_t *state, unsigned lp, uint32_t entry, uint64_t rax, uint64_t rcx, uint64_t rdx, uint64_t r8)
{
    step_t step = { 0, -1, 0 };
    world_t *w = (world_t *)(void *)state;
    w->lp.at[lp].given.rax = rax;
    w->lp.at[lp].given.rcx = rcx;
    w->lp.at[lp].given.rdx = rdx;
    w->lp.at[lp].given.r8 = r8;
    module_run(state, lp, entry, &step);
    return w->lp.at[lp].status;
}

/* The calls, four registers each, in turn; one more than the number of the first that does not succeed, or 0. */
int repeat(uint8_t *state, const uint64_t *calls, uint64_t count, uint64_t rounds, uint64_t lp, uint64_t entry)
{
    for (uint64_t round = 0; round < rounds; round++)
        for (uint64_t i = 0; i < count; i++)
            if (call4(state, (unsigned)lp, (uint32_t)entry, calls[4 * i], calls[4 * i + 1], calls[4 * i + 2], calls[4 * i + 3]))
                return (int)i + 1;
    return 0;
}

/* Every page of a range: its tables where they are missing, AUG on LP 0, ACCEPT by the guest on LP 1. */
int64_t fill(uint8_t *state, uint64_t tdr, uint64_t base, uint64_t pages, uint64_t first, uint64_t tables, uint64_t *counts)
{
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t gpa = base + (i << 12);
        for (int level = 3; level >= 1; level--) {
            uint64_t size = 4096ull << 9 * level;
            if (gpa % size && i)
                continue;
            unsigned status = call4(state, 0, 0, 3, gpa / size * size | (unsigned)level, tdr, tables);
            counts[0] += !status;
            tables += status ? 0 : 4096;
        }
        if (call4(state, 0, 0, 6, gpa, tdr, first + (i << 12)))
            return (int64_t)i + 1;
        counts[1]++;
        if (call4(state, 1, 1, 6, gpa, 0, 0))
            return (int64_t)i + 1;
        counts[2]++;
    }
    return 0;
}
