/* The head of a line: which task, on which CPU, with which flags, when.
 *
 *      TASK-PID [(TGID)] [CPU] [FLAGS] TIME:       tracefs, trace-cmd report
 *      TASK-PID CPU FLAGS TIME:                    both, with options/latency-format or -l
 *      TASK PID[/TID] [[CPU]] TIME:                perf script
 *
 * A name of a task may hold anything, blanks, brackets, `-` and `#` among it; what is sure is the CPU in brackets, or else the time.
 *
 * Offers scan_bracketed, scan_latency, scan_without_cpu: each fills in a record, goes behind the head, and says what was there, HEAD_. */

enum { HEAD_NONE, HEAD_WHOLE, HEAD_CUT, HEAD_NO_TIME, HEAD_VERBOSE, HEAD_RANGE };
enum { FLAGS_MOST = 8, TIME_DIGITS = 18, SECOND_DIGITS = 10 };

static int is_flag(char c)
{
    return is_digit(c) || memchr(".abcdDnNpPlLBhHsSzZ#x-", c, 22) != NULL;
}

static uint32_t hash_of(const char *from, const char *to)
{
    uint32_t h = 2166136261u;
    for (; from < to; from++)
        h = (h ^ (uint8_t)*from) * 16777619u;
    return h | 1;
}

/* The number that ends at `to`; its first digit, or NULL if there is none in range. */
static const char *number_before(const char *from, const char *to, uint64_t limit, uint64_t *value)
{
    const char *first = to;
    while (first > from && is_digit(first[-1]))
        first--;
    text_t number = {first, to};
    return below(&number, limit, value) ? first : NULL;
}

/* TASK-PID, TASK PID/TID or TASK-PID (TGID), before the bracket. */
static int scan_task(const char *from, const char *to, record_t *r)
{
    uint64_t pid, tgid;
    uint16_t seen = 0;
    while (to > from && to[-1] == ' ')
        to--;
    if (to > from && to[-1] == ')') {
        const char *open = to - 1;
        while (open > from && *open != '(')
            open--;
        text_t inside = {open + 1, to - 1};
        blanks(&inside);
        if (below(&inside, PIDS, &tgid) && at_end(&inside)) {
            r->tgid = (uint32_t)tgid;
            seen |= SEEN_TGID;
        }
        to = open;
        while (to > from && to[-1] == ' ')
            to--;
    }
    const char *first = number_before(from, to, PIDS, &pid);
    if (!first || first == from || (first[-1] != '-' && first[-1] != ' ' && first[-1] != '/'))
        return 0;
    r->pid = (uint32_t)pid;
    if (first[-1] == '/') {
        if (!number_before(from, first - 1, PIDS, &tgid))
            return 0;
        r->tgid = (uint32_t)tgid;
        seen |= SEEN_TGID;
    }
    if (first[-1] != '-')
        seen |= SEEN_PERF;
    if (first[-1] == ' ') {
        while (first > from && first[-1] == ' ')
            first--;
        while (from < first && *from == ' ')
            from++;
        r->comm = hash_of(from, first);
    }
    r->seen |= seen;
    return 1;
}

/* 12.345678:, 12345:, 12us+: -- in nanoseconds, or in what a clock without a point counts. */
static int scan_time(text_t *t, record_t *r)
{
    uint64_t whole, fraction = 0;
    text_t at = *t;
    const char *start = at.at;
    if (!decimal(&at, &whole))
        return at.at > start ? HEAD_RANGE : HEAD_NONE;
    long digits = at.at - start;
    if (at.at == at.end)
        return HEAD_CUT;
    if (*at.at == '.') {
        start = ++at.at;
        if (!decimal(&at, &fraction))
            return at.at == at.end ? HEAD_CUT : HEAD_NONE;
        long places = at.at - start;
        if (at.at == at.end)
            return HEAD_CUT;
        if (*at.at == 'm')
            return HEAD_VERBOSE;
        if (digits > SECOND_DIGITS || places > 9)
            return HEAD_RANGE;
        for (; places < 9; places++)
            fraction *= 10;
        r->time = whole * 1000000000ull + fraction;
        r->seen |= SEEN_SECONDS;
    } else {
        if (digits > TIME_DIGITS)
            return HEAD_RANGE;
        r->time = whole;
        if (skip(&at, "us")) {
            if (digits > SECOND_DIGITS)
                return HEAD_RANGE;
            r->time = whole * 1000;
            r->seen |= SEEN_SECONDS;
            while (at.at < at.end && *at.at != ':' && !is_word(*at.at))
                at.at++;
        } else if (*at.at == ':') {
            r->seen |= SEEN_TICKS;
        }
    }
    if (at.at >= at.end || *at.at != ':')
        return HEAD_NONE;
    at.at++;
    *t = at;
    return HEAD_WHOLE;
}

static void note_flags(record_t *r, const char *from, const char *to)
{
    for (const char *p = from; p < to; p++)
        if (*p == 'l' || *p == 'L' || *p == 'B')
            r->seen |= SEEN_LAZY;
}

/* The field misc of perf script: letters for the mode of the CPU, `K` or `U`. */
static void skip_mode(text_t *t)
{
    text_t at = *t;
    while (at.at < at.end && *at.at >= 'A' && *at.at <= 'Z')
        at.at++;
    if (at.at > t->at && at.at - t->at <= 5 && at.at < at.end && *at.at == ' ') {
        blanks(&at);
        *t = at;
    }
}

/* What stands behind the CPU: flags and the time, blanks between them or not. */
static int scan_when(text_t *t, record_t *r)
{
    blanks(t);
    if (r->seen & SEEN_PERF)
        skip_mode(t);
    int found = scan_time(t, r);
    if (found != HEAD_NONE)
        return found;
    const char *from = t->at, *to = from;
    while (to < t->end && to - from < FLAGS_MOST && is_flag(*to))
        to++;
    if (to == t->end)
        return HEAD_CUT;
    if (*to == ' ' && to > from) {
        text_t behind = {to, t->end};
        blanks(&behind);
        found = behind.at == behind.end ? HEAD_CUT : scan_time(&behind, r);
        if (found == HEAD_WHOLE) {
            note_flags(r, from, to);
            *t = behind;
        }
        return found;
    }
    for (int flags = 5; flags >= 4; flags--) {
        text_t behind = {from + flags, t->end};
        if (to - from <= flags)
            continue;
        found = scan_time(&behind, r);
        if (found == HEAD_WHOLE) {
            note_flags(r, from, from + flags);
            *t = behind;
            return found;
        }
    }
    return has(*t, "kvmmmu:") || has(*t, "kvm:kvm_") ? HEAD_NO_TIME : HEAD_NONE;
}

/* With the CPU in brackets: of several such brackets the first that has a task before it and a time behind it. */
static int scan_bracketed(const char *line, text_t *t, record_t *r)
{
    int best = HEAD_NONE;
    for (const char *p = line; (p = memchr(p, '[', (size_t)(t->end - p))); p++) {
        uint64_t cpu;
        text_t at = {p + 1, t->end};
        if (p == line || (p[-1] != ' ' && p[-1] != ')') || !decimal(&at, &cpu) || at.at == at.end || *at.at != ']')
            continue;
        if (!scan_task(line, p, r))
            continue;
        int padded = at.at - p > 3;     /* as every tool prints it; `[2]` at the end of a sentence is no cut line */
        at.at++;
        int found = scan_when(&at, r);
        if (found == HEAD_CUT && !padded)
            found = HEAD_NONE;
        if (found == HEAD_WHOLE && cpu >= CPUS)
            found = HEAD_RANGE;
        if (found == HEAD_WHOLE) {
            r->cpu = (uint16_t)cpu;
            *t = at;
            return found;
        }
        if (best == HEAD_NONE)
            best = found;
    }
    return best;
}

/* TASK-PID CPU FLAGS TIME, as in `vcpu0-516     0...1.   146.031435:`. */
static int scan_latency(const char *line, text_t *t, record_t *r)
{
    for (const char *p = line; (p = memchr(p, '-', (size_t)(t->end - p))); p++) {
        uint64_t pid, cpu;
        text_t at = {p + 1, t->end};
        if (p == line || !below(&at, PIDS, &pid) || at.at == at.end || *at.at != ' ')
            continue;
        blanks(&at);
        if (!below(&at, CPUS, &cpu))
            continue;
        const char *flags = at.at;
        while (at.at < at.end && at.at - flags < FLAGS_MOST && is_flag(*at.at))
            at.at++;
        if (at.at - flags < 4 || at.at == at.end || *at.at != ' ')
            continue;
        const char *behind = at.at;
        blanks(&at);
        if (scan_time(&at, r) != HEAD_WHOLE)
            continue;
        note_flags(r, flags, behind);
        r->pid = (uint32_t)pid;
        r->cpu = (uint16_t)cpu;
        *t = at;
        return HEAD_WHOLE;
    }
    return HEAD_NONE;
}

/* [PERIOD] SYSTEM:EVENT: */
static int is_perf_event(text_t t)
{
    blanks(&t);
    while (t.at < t.end && is_digit(*t.at))
        t.at++;
    blanks(&t);
    while (t.at < t.end && is_word(*t.at))
        t.at++;
    return t.at + 1 < t.end && *t.at == ':' && is_word(t.at[1]);
}

/* TASK PID[/TID] TIME: SYSTEM:EVENT, as perf script prints it without the CPU. */
static int scan_without_cpu(const char *line, text_t *t, record_t *r)
{
    for (const char *p = line; (p = memchr(p, ':', (size_t)(t->end - p))); p++) {
        const char *from = p;
        while (from > line && (is_digit(from[-1]) || from[-1] == '.'))
            from--;
        text_t at = {from, t->end};
        if (from == p || from == line || from[-1] != ' ' || scan_time(&at, r) != HEAD_WHOLE)
            continue;
        if (!scan_task(line, from, r) || !(r->seen & SEEN_PERF) || !is_perf_event(at))
            return HEAD_NONE;
        r->seen |= SEEN_NO_CPU;
        *t = at;
        return HEAD_WHOLE;
    }
    return HEAD_NONE;
}
