/* Records in the order of their time stamps, from the lines of a trace to the model; what Python calls.
 *
 * Offers to Python replay_size, replay_start, replay_feed and replay_drain; replay_infer_loss, replay_resynchronise and replay_guard where
 * an event cannot be followed. */

enum { LONGEST = 1 << 16, NEAR = 1 << 10 };

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

/* The entry was unknown when another event taught what it holds, so nobody saw that this one came before that: it leaves what that
 * one found. */
static int before_learned(replay_t *p, uint64_t i, int guard)
{
    record_t *r = at(p, i);
    if (r->kind != K_CHANGED || guard != GUARD_OLD_VALUE)
        return 0;
    for (uint64_t j = i; j > 0 && i - j < NEAR; j--) {
        record_t *other = at(p, j - 1);
        if (other->kind != K_CHANGED || other->gfn != r->gfn || other->level != r->level || other->as_id != r->as_id)
            continue;
        if (!other->learned || other->pid == r->pid || (in_model(p, other->old) ^ in_model(p, r->value)) & kept_bits(p))
            return 0;
        blind(p, r->task);
        p->world->step = STEP_UNSEEN;
        p->overtaken++;
        p->changes++;
        p->unseen++;
        r->done = 1;
        account(p, r);
        p->lossy += r->loses;
        return 1;
    }
    return 0;
}

static void step(replay_t *p)
{
    record_t *r = at(p, p->next);
    if (!r->done) {
        int guard = follow_record(p, p->next);
        if (guard != GUARD_NONE && !p->stop && !earlier(p, p->next, 0) && !before_learned(p, p->next, guard) && !last_resort(p, p->next)) {
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
    while (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu != moved.cpu && !is_mark(at(p, to - 1)))
        to--;
    if (to > p->next && at(p, to - 1)->time > moved.time && at(p, to - 1)->cpu == moved.cpu && !is_mark(at(p, to - 1)))
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
    p->work = WORK;
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
    t->fast |= kind == K_FAST;
    if (kind == K_SEAMCALL)
        t->calls |= (uint16_t)(1 << call);
}

/* The first frozen value tells the kernel's; it is read long before the removal that it belongs to is followed. */
static void note_frozen(replay_t *p, const record_t *r)
{
    uint64_t value = r->value;
    if (value != 0x5A0 && value != FROZEN && value != FROZEN_7_2)
        return;
    p->told = 1;
    p->frozen = value;
    p->world->layout.parent_last = value == FROZEN_7_2;
}

/* Keeps the text of a line, as long as its record is in the ring. */
static void keep(replay_t *p, record_t *r, const char *line, size_t length)
{
    r->length = length < TEXT_MOST ? (uint32_t)length : TEXT_MOST;
    if (p->text_end % TEXT + r->length > TEXT)
        p->text_end += TEXT - p->text_end % TEXT;
    r->offset = p->text_end;
    memcpy(&p->text[p->text_end % TEXT], line, r->length);
    p->text_end += r->length;
}

static void note_marker(replay_t *p, const record_t *r, const char *line, size_t length)
{
    if (p->marker_count == MARKERS)
        return;
    marker_t *marker = &p->marker[p->marker_count++];
    size_t rest = length - (size_t)r->gfn;
    marker->time = r->time;
    marker->length = rest < MARKER_MOST ? (uint32_t)rest : MARKER_MOST;
    memcpy(marker->text, line + r->gfn, marker->length);
}

/* A sample that perf script prints twice, byte for byte with one time. */
static int is_twice(replay_t *p, const record_t *r, const char *line, size_t length)
{
    return r->seen & SEEN_PERF && length < TEXT_MOST && length == p->last_length
        && !memcmp(&p->text[p->last_text % TEXT], line, length);
}

/* The losses that are told now began behind the last event of that CPU. */
static void begin_loss(replay_t *p, record_t *told)
{
    if (told->cpu >= CPUS)
        return;
    told->value = 1;
    for (uint64_t i = p->tail; i > p->next; i--)
        if (at(p, i - 1)->cpu == told->cpu && !is_mark(at(p, i - 1))) {
            at(p, i - 1)->loses++;
            return;
        }
    p->lossy++;
}

/* Something that comes between the events. */
static void push_mark(replay_t *p, int kind, unsigned cpu)
{
    uint64_t time = p->tail ? at(p, p->tail - 1)->time : 0;
    record_t *r = at(p, p->tail);
    memset(r, 0, sizeof *r);
    r->kind = (uint8_t)kind;
    r->cpu = (uint16_t)cpu;
    r->time = time;
    r->line = p->scan.lines;
    r->offset = p->text_end;
    if (kind == K_LOST)
        begin_loss(p, r);
    p->tail++;
}

static void push(replay_t *p, record_t *r, const char *line, size_t length)
{
    if (is_twice(p, r, line, length)) {
        p->scan.twice++;
        p->scan.events--;
        p->scan.kinds[r->kind]--;
        return;
    }
    keep(p, r, line, length);
    p->last_text = r->offset;
    p->last_length = r->length;
    r->line = p->scan.lines;
    p->scan.ties += p->tail && at(p, p->tail - 1)->time == r->time && at(p, p->tail - 1)->cpu != r->cpu;
    note_traced(p, r->kind, r->as_id);
    if (r->kind == K_MARKER)
        note_marker(p, r, line, length);
    if (r->kind == K_CHANGED && !p->told)
        note_frozen(p, r);
    if (r->vcpu >= 0 || r->kind == K_REQUESTED)
        p->serves[r->tgid] = 1;
    if (!p->seen_cpu[r->cpu]) {
        p->seen_cpu[r->cpu] = 1;
        p->cpus_seen++;
    }
    p->work = p->work + WORK_OF_RECORD < WORK ? p->work + WORK_OF_RECORD : WORK;
    p->tail++;
    place(p, p->tail - 1);
}

/* A line that could not be read, and was no part of the next one either. */
static void give_up(replay_t *p)
{
    p->held = p->pieces = 0;
    p->scan.unreadable++;
    push_mark(p, K_LOST, CPUS);
}

/* A mail program folds long lines: what could not be read may go on in the next line. */
static int join(replay_t *p, const char *line, size_t length, int what)
{
    record_t *r = at(p, p->tail);
    if ((what != SCAN_TEXT && what != SCAN_HEADLESS) || p->held + length + 1 >= HELD || p->pieces == PIECES)
        return 0;
    p->holding[p->held] = ' ';
    memcpy(&p->holding[p->held + 1], line, length);
    what = scan_line(&p->scan, p->holding, p->held + 1 + length, r);
    if (what == SCAN_RECORD) {
        p->scan.folded++;
        push(p, r, p->holding, p->held + 1 + length);
        p->held = p->pieces = 0;
        return 1;
    }
    if (what != SCAN_UNREADABLE)
        return 0;
    p->held += (uint32_t)length + 1;
    p->pieces++;
    return 1;
}

static void feed_line(replay_t *p, const char *line, size_t length, int whole)
{
    record_t *r = at(p, p->tail);
    p->scan.lines++;
    int what = scan_line(&p->scan, line, length, r);
    if (p->held) {
        if (join(p, line, length, what))
            return;
        record_t kept = *r;
        give_up(p);
        r = at(p, p->tail);
        *r = kept;
    }
    if (what == SCAN_RECORD) {
        push(p, r, line, length);
    } else if (what == SCAN_LOST) {
        push_mark(p, K_LOST, r->cpu);
    } else if (what == SCAN_STARTED) {
        push_mark(p, K_STARTED, CPUS);
    } else if (what == SCAN_TEXT) {
        p->scan.texts++;
    } else if (what == SCAN_UNREADABLE && whole && length + 1 < HELD) {
        memcpy(p->holding, line, length);
        p->held = (uint32_t)length;
        p->pieces = 1;
    } else if (whole && what != SCAN_NOTHING) {
        give_up(p);
    } else if (what != SCAN_NOTHING) {
        p->scan.unreadable++;
    }
}

/* A line that is longer than any event's: whatever it was, its beginning tells whether something is lost. */
static void feed_long(replay_t *p, const char *line)
{
    record_t *r = at(p, p->tail);
    p->scan.lines++;
    p->scan.longest++;
    int what = scan_line(&p->scan, line, TEXT_MOST, r);
    p->scan.events -= what == SCAN_RECORD;
    if (what == SCAN_RECORD || what == SCAN_UNREADABLE || what == SCAN_HEADLESS)
        give_up(p);
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
        if (p->stop || done == size)
            break;
        const char *line = bytes + done, *end = memchr(line, '\n', size - done);
        size_t length = end ? (size_t)(end - line) : size - done;
        if (length > LONGEST || p->skipping) {
            if (!p->skipping)
                feed_long(p, line);
            p->skipping = !end;
        } else if (end || last) {
            feed_line(p, line, length, end != NULL);
        } else {
            break;
        }
        done += length + (end != NULL);
    }
    if (last && done == size && p->held && !p->stop) {
        p->held = p->pieces = 0;
        p->scan.unreadable++;
    }
    return done;
}

/* At a divergence in a trace that may miss lines anywhere: whether it is none if events were lost before it. */
int replay_infer_loss(replay_t *p)
{
    lose_all(p);
    p->stop = 0;
    if (follow_record(p, p->diverged_at) != GUARD_NONE) {
        if (!p->stop)
            p->stop = STOP_DIVERGED;
        return 0;
    }
    p->gaps++;
    p->next = p->diverged_at + 1;
    return 1;
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
    p->lossy += r->loses;
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
