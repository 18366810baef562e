/* Events that overtook another one: the kernel writes an SPTE first and traces it then, so that two CPUs' events of one entry may
 * come in the wrong order. The other one is looked for among those that were read ahead.
 *
 * Offers earlier, which follows what was overtaken; is_mark and kept_bits. */

static uint64_t kept_bits(const replay_t *p)
{
    return ~(p->world->layout.accessed | p->world->layout.dirty);
}

static int covers(const record_t *r, const record_t *e)
{
    unsigned shift = 9 * (unsigned)(r->level - 1);
    return r->gfn >> shift == e->gfn >> shift;
}

/* What the entry of `e` holds after `r`, if `r` changes it. */
static int leaves(const replay_t *p, const record_t *r, const record_t *e, uint64_t *value)
{
    if (r->kind == K_CHANGED && r->level == e->level && r->gfn == e->gfn && (e->kind != K_CHANGED || r->as_id == e->as_id)) {
        *value = in_model(p, r->value);
        return 1;
    }
    if (r->kind == K_FAST && !r->failed && e->level && covers(e, r)) {
        *value = in_model(p, r->old) | p->world->layout.writable;
        return 1;
    }
    if (r->kind == K_CHANGED && e->kind == K_FAST && covers(r, e)) {
        *value = in_model(p, r->value);
        return 1;
    }
    return 0;
}

/* What looking ahead may cost: so much in all, and some more for each record that was read. */
static int spend(replay_t *p, uint64_t work)
{
    if (p->work < work)
        return 0;
    p->work -= work;
    return 1;
}

static int is_mark(const record_t *r)
{
    return r->kind == K_LOST || r->kind == K_STARTED;
}

static int earlier(replay_t *p, uint64_t i, unsigned depth);

/* Follows record `i`, and what its task did before it. */
static int follow_ahead(replay_t *p, uint64_t from, uint64_t i, unsigned depth)
{
    record_t *r = at(p, i);
    for (uint64_t j = from; j <= i; j++) {
        record_t *before = at(p, j);
        if (before->done || before->pid != r->pid || is_mark(before))
            continue;
        if (!spend(p, WORK_OF_FOLLOWING))
            return 0;
        int guard = follow_record(p, j);
        if (guard != GUARD_NONE && !(depth < 3 && earlier(p, j, depth + 1)))
            return 0;
        before->done = 1;
    }
    return 1;
}

/* Whether the event of another task that `i` overtook can be found and followed, and then `i` itself. */
static int earlier(replay_t *p, uint64_t i, unsigned depth)
{
    record_t *e = at(p, i);
    uint64_t end = p->tail < i + AHEAD ? p->tail : i + AHEAD, wanted, value;
    uint64_t held = p->world->at ? p->world->words.at[p->world->at].word.at[p->world->index] & kept_bits(p) : 0;
    uint32_t passed[16];
    unsigned count = 0;
    int chained = 0, elsewhere = p->world->guard == GUARD_NO_TABLE || p->world->guard == GUARD_OLD_VALUE;
    if (e->kind != K_CHANGED && e->kind != K_FAST && e->kind != K_SET && e->kind != K_ZAP_PAGE)
        return 0;
    wanted = in_model(p, e->kind == K_SET ? e->value : e->old) & kept_bits(p);
    for (uint64_t j = i + 1; j < end && !is_mark(at(p, j)); j++) {
        record_t *r = at(p, j);
        if (!spend(p, 1))
            return 0;
        if (r->done || r->pid == e->pid || (r->kind != K_CHANGED && r->kind != K_FAST) || (r->tgid && e->tgid && r->tgid != e->tgid))
            continue;
        unsigned k = 0;
        while (k < count && passed[k] != r->pid)
            k++;
        if (k < count)
            continue;
        int same = leaves(p, r, e, &value);
        int above = elsewhere && r->kind == K_CHANGED && r->level > e->level && e->level && covers(r, e);
        if (same)
            chained |= (in_model(p, r->old) & kept_bits(p)) == held;
        int fits = same && (value & kept_bits(p)) == wanted && (e->kind != K_SET || chained);
        if (e->kind == K_SET && same && chained && !fits && wanted == FROZEN)
            fits = 1;
        if (fits || (above && !same)) {
            if (e->kind == K_SET && fits) {
                p->read_ahead++;
                e->done = 1;
                account(p, e);
                p->world->task.at[e->task].owes_set = 0;
                return 1;
            }
            if (follow_ahead(p, i + 1, j, depth)) {
                p->overtaken++;
                if (follow_record(p, i) == GUARD_NONE)
                    return 1;
                continue;
            }
        }
        if (r->kind == K_CHANGED && in_model(p, r->value) != FROZEN && count < 16)
            passed[count++] = r->pid;
    }
    return 0;
}
