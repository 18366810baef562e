/* From the lines of a trace to records: what tracefs, trace-cmd report and perf script print, told apart line by line.
 *
 *      HEAD [(+DIFFERENCE)] EVENT: FIELDS          tracefs, trace-cmd report
 *      HEAD [PERIOD] SYSTEM:EVENT: FIELDS          perf script
 *
 * Beside these there are headers, stacks, losses, and whatever people put between the lines that they quote.
 *
 * Offers scan_line, which fills in a record of one line and says what the line was, SCAN_. */

enum { SCAN_NOTHING, SCAN_RECORD, SCAN_LOST, SCAN_STARTED, SCAN_UNREADABLE, SCAN_HEADLESS, SCAN_TEXT };

static int scan_header(scan_t *s, text_t t)
{
    s->headers++;
    if (has(t, "buffer started ####")) {
        s->starts++;
        return SCAN_STARTED;
    }
    if (find(&t, "entries-in-buffer/entries-written: ")) {
        decimal(&t, &s->in_buffer);
        skip(&t, "/");
        decimal(&t, &s->written);
        if (find(&t, "#P:"))
            below(&t, CPUS, &s->cpus);
    }
    return SCAN_NOTHING;
}

/* CPU:3 [LOST 2484 EVENTS], CPU:1 [LOST EVENTS], CPU:2 [5 EVENTS DROPPED] */
static int scan_lost(scan_t *s, text_t t, record_t *r)
{
    uint64_t cpu, count = 0;
    if (!skip(&t, "CPU:") || !below(&t, CPUS, &cpu) || !skip(&t, " ["))
        return 0;
    skip(&t, "LOST ");
    if (decimal(&t, &count))
        skip(&t, " ");
    if (!skip(&t, "EVENTS"))
        return 0;
    r->kind = K_LOST;
    r->cpu = (uint16_t)cpu;
    s->losses++;
    s->lost += count;
    return 1;
}

/* perf script --show-lost-events: PERF_RECORD_LOST lost 17, PERF_RECORD_LOST_SAMPLES lost 17; all others say nothing of KVM. */
static int scan_perf_record(scan_t *s, text_t t, record_t *r)
{
    uint64_t count = 0;
    if (!skip(&t, "PERF_RECORD_LOST")) {
        s->tools++;
        return SCAN_NOTHING;
    }
    if (find(&t, "lost "))
        decimal(&t, &count);
    r->kind = K_LOST;
    s->losses++;
    s->lost += count;
    return SCAN_LOST;
}

/* `....`, `...`, `[...]`, `[snip]`: somebody left lines out. */
static int is_elision(text_t t)
{
    int dots = 0;
    const char *from = t.at;
    while (t.end > from && t.end[-1] == ' ')
        t.end--;
    if (t.end - from > 40)
        return 0;
    for (const char *p = from; p < t.end; p++) {
        if (*p == '.')
            dots++;
        else if (*p != ' ' && *p != '[' && *p != ']' && *p != '<' && *p != '>' && *p != '(' && *p != ')')
            dots = -1000;
    }
    return dots > 1 || (t.end > from && has(t, "snip")) || (t.end - from == 3 && has(t, "\xe2\x80\xa6"));
}

/* ` => function`, ` =>  <000000000043f68b>`, `	ffffffffc0946d94 function ([kvm])`. */
static int is_frame(const char *line, text_t t)
{
    uint64_t address;
    if (skip(&t, "=>"))
        return 1;
    const char *start = t.at;
    return start > line && hex(&t, &address) && t.at - start >= 5 && (t.at == t.end || *t.at == ' ');
}

/* Forms that hold no event as it can be followed: 1234 3 1951147757407 type: 1782; 0.541 task/1185 kvmmmu:event(gfn: 1). */
static int other_form(scan_t *s, text_t t)
{
    uint64_t one, two, three;
    text_t at = t;
    if (decimal(&at, &one) && skip(&at, " ") && decimal(&at, &two) && skip(&at, " ") && decimal(&at, &three)
        && (skip(&at, " type: ") || skip(&at, " # "))) {
        s->forms[FORM_RAW]++;
        return 1;
    }
    at = t;
    if (hex(&at, &one) && at.at - t.at == 8 && skip(&at, " ") && hex(&at, &two) && skip(&at, " ") && hex(&at, &three) && skip(&at, " type: ")) {
        s->forms[FORM_HEX]++;
        return 1;
    }
    for (at = t; find(&at, "kvmmmu:"); ) {
        while (at.at < at.end && is_word(*at.at))
            at.at++;
        if (at.at < at.end && *at.at == '(') {
            s->forms[FORM_PERF_TRACE]++;
            return 1;
        }
    }
    return 0;
}

/* Whether a time stands before the name of an event, whatever stands before the time. */
static int names_event(text_t t)
{
    for (text_t at = t; find(&at, ": "); ) {
        const char *name = at.at, *stop = name;
        if (name - 3 < t.at || !is_digit(name[-3]))
            continue;
        while (stop < t.end && is_word(*stop))
            stop++;
        const struct event *event = stop < t.end && *stop == ':' ? event_of(name, (size_t)(stop - name)) : NULL;
        if (event && event->kind != K_MARKER)
            return 1;
    }
    return 0;
}

/* A line that has no task, CPU and time. */
static int scan_headless(scan_t *s, const char *line, text_t t, record_t *r)
{
    if (is_frame(line, t)) {
        s->stacks++;
        return SCAN_NOTHING;
    }
    if (*t.at == '#')
        return scan_header(s, t);
    if (scan_lost(s, t, r))
        return SCAN_LOST;
    if (*t.at == '>') {
        s->quotes++;
        s->forms[FORM_QUOTED] += has(t, ": kvm");
        return SCAN_NOTHING;
    }
    if (is_elision(t)) {
        r->kind = K_LOST;
        r->cpu = CPUS;
        s->losses++;
        return SCAN_LOST;
    }
    if (has(t, "cpus=") || has(t, "version = ") || has(t, " is empty") || has(t, "PERF_RECORD_")) {
        s->tools++;
        return SCAN_NOTHING;
    }
    if (other_form(s, t))
        return SCAN_NOTHING;
    const char *stop = t.at;
    while (stop < t.end && is_word(*stop))
        stop++;
    if (stop < t.end && *stop == ':' && event_of(t.at, (size_t)(stop - t.at))) {
        s->forms[FORM_NO_TASK]++;
        return SCAN_HEADLESS;
    }
    return names_event(t) ? SCAN_HEADLESS : SCAN_TEXT;
}

/* Goes behind what may stand between time and event: (+5) of trace-cmd report --ts-diff, the period of perf script. */
static void skip_difference(text_t *t)
{
    text_t at = *t;
    uint64_t value;
    if (skip(&at, "(+") ? decimal(&at, &value) && skip(&at, ")") : decimal(&at, &value) && at.at < at.end && *at.at == ' ') {
        blanks(&at);
        *t = at;
    }
}

/* What stands where the name of an event should, and is none. */
static int scan_nameless(scan_t *s, const char *line, text_t t, record_t *r)
{
    const char *name = t.at, *stop = name;
    while (stop < t.end && is_word(*stop))
        stop++;
    size_t size = (size_t)(stop - name);
    if (size >= 12 && !memcmp(name, "PERF_RECORD_", 12))
        return scan_perf_record(s, t, r);
    if (has(t, "stack trace>")) {
        s->stacks++;
        s->entries++;
        return SCAN_NOTHING;
    }
    if (skip(&t, "tracing_mark_write+") && find(&t, ": ")) {
        r->kind = K_MARKER;
        r->gfn = (uint64_t)(t.at - line);
        return SCAN_RECORD;
    }
    if (stop == t.end)
        return !size || begins_event(name, size) ? SCAN_UNREADABLE : SCAN_TEXT;
    return size >= 3 && !memcmp(name, "kvm", 3) ? SCAN_UNREADABLE : SCAN_TEXT;
}

/* The event of a line, and its fields; where a marker's text begins is in r->gfn. */
static int scan_event(scan_t *s, const char *line, text_t t, record_t *r)
{
    blanks(&t);
    skip_difference(&t);
    text_t start = t;
    const char *name = t.at;
    while (t.at < t.end && is_word(*t.at))
        t.at++;
    if (t.at + 1 < t.end && *t.at == ':' && is_word(t.at[1])) {
        name = ++t.at;
        while (t.at < t.end && is_word(*t.at))
            t.at++;
    }
    if (t.at == t.end || *t.at != ':' || t.at == name)
        return scan_nameless(s, line, start, r);
    const struct event *event = event_of(name, (size_t)(t.at - name));
    if (!event) {
        if (has((text_t){name, t.at}, "_stack")) {
            s->stacks++;
        } else {
            s->events++;
            note_unknown(s, name, (size_t)(t.at - name));
        }
        s->entries++;
        return SCAN_NOTHING;
    }
    t.at++;
    blanks(&t);
    r->kind = (uint8_t)event->kind;
    r->as_id = (uint8_t)event->call;
    if (event->kind == K_MARKER) {
        skip(&t, "tracing_mark_write: ");
        r->gfn = (uint64_t)(t.at - line);
    }
    if (event->fields(s, &t, r))
        return SCAN_RECORD;
    s->forms[FORM_FIELDS] += (r->seen & SEEN_PERF) != 0;
    return SCAN_UNREADABLE;
}

/* Counts a line that is an event; whether there is something to follow. */
static int counted(scan_t *s, record_t *r)
{
    s->entries++;
    s->events++;
    s->formats |= r->seen;
    if ((r->kind == K_GET_PAGE || r->kind == K_ZAP_PAGE) && !r->pfn)
        return SCAN_NOTHING;
    s->kinds[r->kind]++;
    return SCAN_RECORD;
}

/* One line. A record is filled in for SCAN_RECORD and SCAN_LOST, whose CPU is CPUS if nobody says which. */
static int scan_line(scan_t *s, const char *line, size_t length, record_t *r)
{
    text_t t = {line, line + length};
    if (length && line[length - 1] == '\r')
        t.end--;
    memset(r, 0, sizeof *r);
    r->vcpu = -1;
    blanks(&t);
    if (t.at == t.end)
        return SCAN_NOTHING;
    text_t behind = t;
    int found = *t.at == '>' ? HEAD_NONE : scan_bracketed(line, &behind, r);
    if (found == HEAD_NONE && *t.at != '>' && *t.at != '#' && !is_frame(line, t)) {
        found = scan_latency(line, &behind, r);
        if (found == HEAD_NONE)
            found = scan_without_cpu(line, &behind, r);
    }
    if (found == HEAD_WHOLE) {
        int what = scan_event(s, line, behind, r);
        return what == SCAN_RECORD ? counted(s, r) : what;
    }
    if (found == HEAD_NO_TIME || found == HEAD_VERBOSE) {
        s->forms[found == HEAD_NO_TIME ? FORM_NO_TIME : FORM_VERBOSE]++;
        return SCAN_NOTHING;
    }
    if (found == HEAD_CUT)
        return SCAN_UNREADABLE;
    return scan_headless(s, line, t, r);
}
