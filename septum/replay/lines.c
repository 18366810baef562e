/* From the lines of a trace to records: what tracefs, trace-cmd report and perf script print, told apart line by line.
 *
 *      TASK-PID [(TGID)] [CPU] [FLAGS] SECONDS: [SYSTEM:]EVENT: FIELDS       tracefs, trace-cmd report
 *      TASK PID[/TID] [CPU] SECONDS: SYSTEM:EVENT: FIELDS                     perf script
 *
 * A name of a task may hold blanks, `-` and `.`; what is sure is the CPU in brackets. */

/* TASK-PID, TASK PID/TID or TASK-PID (TGID), before the bracket. */
static int scan_task(scan_t *s, const char *from, const char *to, record_t *r)
{
    while (to > from && to[-1] == ' ')
        to--;
    if (to > from && to[-1] == ')') {
        const char *open = to - 1;
        while (open > from && *open != '(')
            open--;
        text_t inside = {open + 1, to - 1};
        uint64_t tgid;
        blanks(&inside);
        if (decimal(&inside, &tgid)) {
            r->tgid = (uint32_t)tgid;
            s->formats |= SEEN_TGID;
        }
        to = open;
        while (to > from && to[-1] == ' ')
            to--;
    }
    const char *first = to;
    while (first > from && first[-1] >= '0' && first[-1] <= '9')
        first--;
    uint64_t pid;
    text_t number = {first, to};
    if (!decimal(&number, &pid) || first == from || (first[-1] != '-' && first[-1] != ' ' && first[-1] != '/'))
        return 0;
    r->pid = (uint32_t)pid;
    if (first[-1] == '/') {
        const char *before = first - 1;
        while (before > from && before[-1] >= '0' && before[-1] <= '9')
            before--;
        text_t tgid = {before, first - 1};
        uint64_t value;
        if (decimal(&tgid, &value)) {
            r->tgid = (uint32_t)value;
            s->formats |= SEEN_TGID;
        }
    }
    if (first[-1] != '-')
        s->formats |= SEEN_PERF;
    return 1;
}

static int scan_time(text_t *t, record_t *r)
{
    uint64_t seconds, fraction = 0;
    text_t at = *t;
    if (!decimal(&at, &seconds))
        return 0;
    if (at.at < at.end && *at.at == '.') {
        at.at++;
        const char *start = at.at;
        if (!decimal(&at, &fraction))
            return 0;
        for (long n = at.at - start; n < 9; n++)
            fraction *= 10;
        fraction += seconds * 1000000000ull;
    } else {
        fraction = seconds;
    }
    if (at.at >= at.end || *at.at != ':')
        return 0;
    at.at++;
    r->time = fraction;
    *t = at;
    return 1;
}

static int scan_header(scan_t *s, text_t t)
{
    s->headers++;
    if (find(&t, "entries-in-buffer/entries-written: ")) {
        decimal(&t, &s->in_buffer);
        skip(&t, "/");
        decimal(&t, &s->written);
    }
    return SCAN_NOTHING;
}

/* CPU:3 [LOST 2484 EVENTS], CPU:1 [LOST EVENTS], CPU:2 [5 EVENTS DROPPED], PERF_RECORD_LOST lost 12 */
static int scan_lost(scan_t *s, text_t t)
{
    uint64_t count;
    text_t copy = t;
    if (!find(&t, "LOST ") && !find(&copy, "EVENTS DROPPED"))
        return 0;
    s->losses++;
    if (decimal(&t, &count) || (find(&t, "lost ") && decimal(&t, &count)))
        s->lost += count;
    return 1;
}

/* The CPU in brackets: digits alone, a blank before them. */
static const char *scan_cpu(const char *line, const char *end, record_t *r, const char **after)
{
    for (const char *p = line; (p = memchr(p, '[', (size_t)(end - p))); p++) {
        uint64_t cpu;
        text_t t = {p + 1, end};
        if (p > line && (p[-1] == ' ' || p[-1] == ')') && decimal(&t, &cpu) && t.at < end && *t.at == ']') {
            r->cpu = (uint16_t)cpu;
            *after = t.at + 1;
            return p;
        }
    }
    return NULL;
}

static int scan_line(scan_t *s, const char *line, size_t length, record_t *r)
{
    text_t t = {line, line + length};
    const char *after;
    s->lines++;
    if (length && line[length - 1] == '\r')
        t.end--;
    blanks(&t);
    if (t.at == t.end)
        return SCAN_NOTHING;
    if (*t.at == '#')
        return scan_header(s, t);
    memset(r, 0, sizeof *r);
    r->vcpu = -1;
    const char *bracket = scan_cpu(line, t.end, r, &after);
    if (!bracket) {
        if (scan_lost(s, t))
            return SCAN_LOST;
        if (skip(&t, "cpus=") || skip(&t, "version = ") || (skip(&t, "CPU ") && find(&t, "is empty"))) {
            s->headers++;
            return SCAN_NOTHING;
        }
        s->cut++;
        return memmem(line, length, "kvm", 3) ? SCAN_LOST : SCAN_NOTHING;
    }
    if (!scan_task(s, line, bracket, r)) {
        s->cut++;
        return SCAN_LOST;
    }
    t.at = after;
    blanks(&t);
    if (!scan_time(&t, r)) {
        const char *flags = t.at;
        while (t.at < t.end && *t.at != ' ')
            t.at++;
        for (const char *p = flags; p < t.at; p++)
            if (*p == 'l' || *p == 'L' || *p == 'B')
                s->formats |= SEEN_LAZY;
        blanks(&t);
        if (!scan_time(&t, r)) {
            s->cut++;
            return SCAN_LOST;
        }
    }
    blanks(&t);
    const char *name = t.at;
    while (t.at < t.end && *t.at != ' ' && *t.at != '(')
        t.at++;
    const char *stop = t.at;
    if (stop == name || stop[-1] != ':') {
        s->cut++;
        return SCAN_LOST;
    }
    stop--;
    for (const char *p = stop; p > name; p--)
        if (p[-1] == ':') {
            name = p;
            break;
        }
    blanks(&t);
    size_t size = (size_t)(stop - name);
    s->events++;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (strncmp(events[i].name, name, size) || events[i].name[size])
            continue;
        r->kind = (uint8_t)events[i].kind;
        if (events[i].call)
            r->as_id = (uint8_t)events[i].call;
        if (!events[i].fields(s, &t, r)) {
            s->events--;
            s->cut++;
            return SCAN_LOST;
        }
        if ((r->kind == K_GET_PAGE || r->kind == K_ZAP_PAGE) && !r->pfn)
            return SCAN_NOTHING;
        s->kinds[r->kind]++;
        return SCAN_RECORD;
    }
    note_unknown(s, name, size);
    return SCAN_NOTHING;
}
