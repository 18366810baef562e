/* Records in the order of their time stamps, from the lines of a trace to the model; what Python calls. */

static void sample(replay_t *p, uint64_t time)
{
    if (p->sample_count == SAMPLES) {
        for (uint32_t i = 0; i < SAMPLES / 2; i++)
            p->sample[i] = p->sample[2 * i];
        p->sample_count = SAMPLES / 2;
        p->sample_every *= 2;
    }
    sample_t *s = &p->sample[p->sample_count++];
    s->time = time;
    memcpy(s->mapped, &p->world->mapped, sizeof s->mapped);
    memcpy(s->linked, &p->world->linked, sizeof s->linked);
    p->sample_next = time + p->sample_every;
}

/* In the middle of a VM's life, a task that was not seen before may work on a root that was not either. */
static int last_resort(replay_t *p, uint64_t i)
{
    p->world->last_resort = p->world->midlife;
    int found = p->world->midlife && !p->stop && follow_record(p, i) == GUARD_NONE;
    p->world->last_resort = 0;
    return found;
}

static void step(replay_t *p)
{
    record_t *r = at(p, p->next);
    if (!r->done) {
        int guard = follow_record(p, p->next);
        if (guard != GUARD_NONE && !p->stop && !earlier(p, p->next, 0) && !last_resort(p, p->next)) {
            if (!p->stop)
                p->stop = STOP_DIVERGED;
            p->diverged_at = p->next;
            follow_record(p, p->next);
            return;
        }
    }
    if (!p->stop) {
        if (!p->first_time)
            p->first_time = r->time;
        if (r->time > p->last_time)
            p->last_time = r->time;
        if (r->time >= p->sample_next)
            sample(p, r->time);
        p->next++;
    }
}

/* A record takes its place by time among those that were not followed yet; the order of one CPU is never changed. */
static void place(replay_t *p, uint64_t i)
{
    record_t moved = *at(p, i);
    uint64_t to = i;
    while (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu != moved.cpu && at(p, to - 1)->kind != K_LOST)
        to--;
    if (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu == moved.cpu && at(p, to - 1)->kind != K_LOST)
        p->scan.backwards++;
    if (to == i)
        return;
    uint64_t back = at(p, i - 1)->time - moved.time;
    p->reordered++;
    if (back > p->worst_back)
        p->worst_back = back;
    for (uint64_t j = i; j > to; j--)
        *at(p, j) = *at(p, j - 1);
    *at(p, to) = moved;
}

/* -- what Python calls */

size_t replay_size(void) { return sizeof(replay_t); }

void replay_start(replay_t *p, world_t *world)
{
    p->world = world;
    p->hold = 1;
    p->sample_every = 1000;
}

static void note_traced(replay_t *p, int kind, int call)
{
    __auto_type t = &p->world->traced;
    t->requested |= kind == K_REQUESTED;
    t->set_spte |= kind == K_SET;
    t->get_page |= kind == K_GET_PAGE;
    t->zap_page |= kind == K_ZAP_PAGE;
    t->split |= kind == K_SPLIT;
    if (kind == K_SEAMCALL)
        t->calls |= (uint16_t)(1 << call);
}

/* The first frozen value tells the kernel's; it is read long before the removal that it belongs to is followed. */
static void note_frozen(replay_t *p, const record_t *r)
{
    uint64_t value = r->value;
    if (value != 0x5A0 && value != FROZEN && value != 0x80000000000001A0ull)
        return;
    p->told = 1;
    p->frozen = value;
    p->world->layout.parent_last = value == 0x80000000000001A0ull;
}

/* Scans whole lines until the ring is full or something diverged; the bytes consumed. */
size_t replay_feed(replay_t *p, const char *bytes, size_t size, int last)
{
    size_t done = 0;
    while (!p->stop) {
        if (p->hold && p->tail - p->next > AHEAD)
            break;
        while (p->tail - p->next > AHEAD && !p->stop)
            step(p);
        if (p->stop)
            break;
        const char *line = bytes + done, *end = memchr(line, '\n', size - done);
        if (!end && (!last || done == size))
            break;
        size_t length = end ? (size_t)(end - line) : size - done;
        record_t *r = at(p, p->tail);
        int what = scan_line(&p->scan, line, length, r);
        if (what == SCAN_LOST && end) {
            uint64_t time = p->tail ? at(p, p->tail - 1)->time : 0;
            memset(r, 0, sizeof *r);
            r->kind = K_LOST;
            r->time = time;
            what = SCAN_RECORD;
        }
        if (what == SCAN_RECORD) {
            r->offset = p->offset;
            r->length = (uint32_t)length;
            r->line = p->scan.lines;
            note_traced(p, r->kind, r->as_id);
            if (r->kind == K_CHANGED && !p->told)
                note_frozen(p, r);
            p->tail++;
            place(p, p->tail - 1);
        }
        p->offset += length + (end != NULL);
        done += length + (end != NULL);
    }
    return done;
}

/* Follows everything that was read. */
void replay_drain(replay_t *p)
{
    while (!p->stop && p->next < p->tail)
        step(p);
    if (!p->stop)
        sample(p, p->last_time);
}

/* After a divergence: the entry is taken as the event leaves it, the task as if nothing were known of it, and the replay goes on. */
void replay_resynchronise(replay_t *p)
{
    record_t *r = at(p, p->diverged_at);
    context_t c;
    memset(&c, 0, sizeof c);
    show(p, r);
    if (!setjmp(c.out))
        ADOPT(&c, p->world);
    r->done = 1;
    p->diverged++;
    p->next = p->diverged_at + 1;
    p->stop = 0;
}

/* The guard that the event at which the replay stopped does not pass if it is to be a given step. */
int replay_guard(replay_t *p, int step_number)
{
    context_t c;
    memset(&c, 0, sizeof c);
    show(p, at(p, p->diverged_at));
    if (setjmp(c.out))
        return -1;
    return (int)GUARD_OF(&c, p->world, (uint8_t)step_number);
}
