/* The fields of each event: what a record holds of a line. The kernel's own text, or, where a tool was asked for the fields or
 * cannot read the kernel's print format, NAME=VALUE.
 *
 * Each number has its range, and is looked at before it is narrowed: a line with another is no event of a kernel. */

enum { NAME = 48, UNKNOWN_NAMES = 64 };
enum { CPUS = 8192, PIDS = (1 << 22) + 1, VCPUS = 1 << 14, SPACES = 2, LEVELS_OF_KVM = 5 };
static const uint64_t GFNS = 1ull << 45;

typedef struct record {
    uint64_t offset, line, time, gfn, pfn, old, value, sptep;
    uint32_t length, pid, tgid, comm;
    uint16_t cpu, task;
    int16_t vcpu;
    uint16_t loses;                 /* losses that begin behind this event of its CPU */
    uint16_t seen;                  /* SEEN_ flags, of the line's head */
    uint8_t kind, as_id, level, failed, done, access, spurious, learned;
} record_t;

enum { FORM_NO_TASK, FORM_NO_TIME, FORM_RAW, FORM_HEX, FORM_PERF_TRACE, FORM_VERBOSE, FORM_QUOTED, FORMS };

typedef struct scan {
    uint64_t lines, entries, events, headers, stacks, texts, tools, quotes, longest, folded, twice, unreadable, losses, lost;
    uint64_t unknown, shadow, backwards, without_gfn, in_buffer, written, cpus, starts, ties;
    uint64_t forms[FORMS];
    uint64_t kinds[32];
    uint32_t unknown_names, formats;
    char name[UNKNOWN_NAMES][NAME];
    uint64_t times[UNKNOWN_NAMES];
} scan_t;

enum { SEEN_TGID = 1, SEEN_PERF = 2, SEEN_ACCESS = 4, SEEN_OLD_FAULT = 8, SEEN_LAZY = 16, SEEN_NPF = 32, SEEN_EPT = 64,
       SEEN_ENTRY_INFO = 128, SEEN_TICKS = 256, SEEN_SECONDS = 512, SEEN_NO_CPU = 1024 };
enum { ACCESS_WRITE = 2, ACCESS_FETCH = 16 };

/* -- NAME=VALUE: 0x12 (18), (18), 0x12, 12 in hexadecimal; of an event that libtraceevent cannot print, 12 in decimal */

enum { AS_HEX, AS_DECIMAL };

static int field(text_t t, const char *name, int base, uint64_t *value)
{
    size_t n = strlen(name);
    const char *start = t.at;
    while (find(&t, name)) {
        const char *before = t.at - n;
        if (t.at >= t.end || *t.at != '=' || (before > start && is_word(before[-1])))
            continue;
        t.at++;
        int bracket = skip(&t, "(");
        int negative = skip(&t, "-");
        int prefixed = t.end - t.at > 2 && t.at[0] == '0' && t.at[1] == 'x';
        int read = prefixed || (!bracket && base == AS_HEX) ? hex(&t, value) : decimal(&t, value);
        if (negative)
            *value = 0 - *value;
        return read && (t.at == t.end || !is_word(*t.at));
    }
    return 0;
}

static int in_range(uint64_t value, uint64_t limit)
{
    return value < limit;
}

static int level_field(text_t t, record_t *r)
{
    uint64_t level;
    if (!field(t, "level", AS_HEX, &level) || level < 1 || level > LEVELS_OF_KVM)
        return 0;
    r->level = (uint8_t)level;
    return 1;
}

static int has_fields(text_t t)
{
    const char *at = t.at;
    while (at < t.end && is_word(*at))
        at++;
    return at > t.at && at < t.end && *at == '=';
}

static int level_after(text_t *t, const char *word, uint8_t *level)
{
    uint64_t value;
    if (!skip(t, word) || !decimal(t, &value) || value < 1 || value > LEVELS_OF_KVM)
        return 0;
    *level = (uint8_t)value;
    return 1;
}

static int gfn(text_t *t, const char *word, record_t *r)
{
    return skip(t, word) && hex(t, &r->gfn) && in_range(r->gfn, GFNS);
}

static int gfn_field(text_t t, record_t *r)
{
    return field(t, "gfn", AS_HEX, &r->gfn) && in_range(r->gfn, GFNS);
}

/* -- the fields of each event */

static int scan_changed(scan_t *s, text_t *t, record_t *r)
{
    uint64_t as_id;
    (void)s;
    if (has_fields(*t)) {
        if (!field(*t, "as_id", AS_HEX, &as_id) || !gfn_field(*t, r) || !level_field(*t, r))
            return 0;
        r->as_id = as_id < SPACES ? (uint8_t)as_id : SPACES;
        return as_id < SPACES && field(*t, "old_spte", AS_HEX, &r->old) && field(*t, "new_spte", AS_HEX, &r->value);
    }
    if (!skip(t, "as id ") || !below(t, SPACES, &as_id) || !gfn(t, " gfn ", r) || !level_after(t, " level ", &r->level))
        return 0;
    r->as_id = (uint8_t)as_id;
    return skip(t, " old_spte ") && hex(t, &r->old) && skip(t, " new_spte ") && hex(t, &r->value) && at_end(t);
}

static int scan_requested(scan_t *s, text_t *t, record_t *r)
{
    uint64_t access;
    if (has_fields(*t)) {
        if (field(*t, "access", AS_HEX, &access))
            s->formats |= SEEN_ACCESS;
        return gfn_field(*t, r) && field(*t, "pfn", AS_HEX, &r->pfn) && level_field(*t, r);
    }
    if (!gfn(t, "gfn ", r) || !skip(t, " pfn ") || !hex(t, &r->pfn) || !level_after(t, " level ", &r->level))
        return 0;
    if (skip(t, " access ")) {
        s->formats |= SEEN_ACCESS;
        return hex(t, &access);
    }
    return at_end(t);
}

static int scan_set(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    if (has_fields(*t))
        return gfn_field(*t, r) && field(*t, "spte", AS_HEX, &r->value) && field(*t, "sptep", AS_HEX, &r->sptep) && level_field(*t, r);
    return gfn(t, "gfn ", r) && skip(t, " spte ") && hex(t, &r->value) && find(t, " level") && level_after(t, " ", &r->level)
        && skip(t, " at ") && hex(t, &r->sptep) && at_end(t);
}

/* mmu_valid_gen=0 gfn=16384 role=6017 root_count=0 unsync=0; role is a kvm_mmu_page_role. */
static int scan_role(text_t t, record_t *r)
{
    uint64_t role;
    if (!field(t, "gfn", AS_DECIMAL, &r->gfn) || !in_range(r->gfn, GFNS) || !field(t, "role", AS_DECIMAL, &role))
        return 0;
    r->level = role & 15;
    r->pfn = role >> 7 & 1;
    return r->level >= 1 && r->level <= LEVELS_OF_KVM;
}

/* `wux` up to 7.1, `rwux` from 7.2 on; a right that a page has not is a `-`, or missing from the older text. */
static void note_access(scan_t *s, text_t t)
{
    int n = 0;
    while (t.at + n < t.end && (is_word(t.at[n]) || t.at[n] == '-'))
        n++;
    if (n == 4 && (t.at[0] == 'r' || t.at[0] == '-'))
        s->formats |= SEEN_ACCESS;
}

/* sp gen 0 gfn 4000 l1 8-byte q0 direct wux nxe ad root 0 sync new
 *
 * The kernel's own print format is C that trace-cmd and perf do not understand: they print the fields, or, with their plugin for KVM,
 * `new sp gfn 4000 1 q0 direct wux ...`, and of a page that is zapped no GFN at all. Such a line says nothing. */
static int scan_page(scan_t *s, text_t *t, record_t *r)
{
    uint64_t level;
    if (skip(t, "[FAILED TO PARSE]") || has_fields(*t)) {
        if (!scan_role(*t, r))
            return 0;
    } else if (t->at < t->end && *t->at >= '1' && *t->at <= '5') {
        s->without_gfn++;
        return find(t, " root ");
    } else {
        if (!find(t, "gfn ") || !hex(t, &r->gfn) || !in_range(r->gfn, GFNS) || !skip(t, " "))
            return 0;
        skip(t, "l");
        if (!decimal(t, &level) || level < 1 || level > LEVELS_OF_KVM)
            return 0;
        r->level = (uint8_t)level;
        r->pfn = find(t, " direct ");
        if (r->pfn)
            note_access(s, *t);
        if (!find(t, " root "))
            return 0;
    }
    s->shadow += !r->pfn;
    return 1;
}

static int scan_split(scan_t *s, text_t *t, record_t *r)
{
    uint64_t error;
    (void)s;
    if (has_fields(*t)) {
        if (!gfn_field(*t, r) || !field(*t, "spte", AS_HEX, &r->old) || !level_field(*t, r) || !field(*t, "errno", AS_HEX, &error))
            return 0;
        r->failed = error != 0;
        return 1;
    }
    if (!gfn(t, "gfn ", r) || !skip(t, " spte ") || !hex(t, &r->old) || !level_after(t, " level ", &r->level) || !skip(t, " errno "))
        return 0;
    skip(t, "-");
    if (!decimal(t, &error))
        return 0;
    r->failed = error != 0;
    return at_end(t);
}

static int scan_vcpu(text_t *t, record_t *r)
{
    uint64_t vcpu;
    if (has_fields(*t) ? !field(*t, "vcpu_id", AS_HEX, &vcpu) : !skip(t, "vcpu ") || !decimal(t, &vcpu))
        return 0;
    if (vcpu >= VCPUS)
        return 0;
    r->vcpu = (int16_t)vcpu;
    return 1;
}

/* error_code P|W|U|0x100000000: of the names only those that say what a guest wanted. */
static void scan_access(text_t t, record_t *r)
{
    if (!find(&t, " error_code "))
        return;
    for (; t.at < t.end && *t.at != ' '; t.at++) {
        int alone = (t.at[-1] == ' ' || t.at[-1] == '|') && (t.at + 1 == t.end || t.at[1] == '|' || t.at[1] == ' ');
        if (alone && *t.at == 'W')
            r->access |= ACCESS_WRITE;
        if (alone && *t.at == 'F')
            r->access |= ACCESS_FETCH;
    }
}

enum { RET_PF_FIXED = 5, RET_PF_SPURIOUS = 6 };

static int scan_fast(scan_t *s, text_t *t, record_t *r)
{
    uint64_t address, spurious, fixed, error, result;
    (void)s;
    if (!scan_vcpu(t, r))
        return 0;
    if (has_fields(*t)) {
        if (!field(*t, "cr2_or_gpa", AS_HEX, &address) || !field(*t, "error_code", AS_HEX, &error) || !field(*t, "old_spte", AS_HEX, &r->old)
            || !field(*t, "new_spte", AS_HEX, &r->value) || !field(*t, "ret", AS_HEX, &result))
            return 0;
        fixed = result == RET_PF_FIXED;
        spurious = result == RET_PF_SPURIOUS;
        r->access = (uint8_t)(error & (ACCESS_WRITE | ACCESS_FETCH));
    } else {
        scan_access(*t, r);
        if (!hex_after(t, " gva ", &address) || !hex_after(t, " old ", &r->old) || !hex_after(t, " new ", &r->value)
            || !find(t, " spurious ") || !below(t, 2, &spurious) || !skip(t, " fixed ") || !below(t, 2, &fixed))
            return 0;
    }
    r->gfn = address >> 12;
    r->failed = !fixed;
    r->spurious = (uint8_t)spurious;
    return 1;
}

static int scan_fault(scan_t *s, text_t *t, record_t *r)
{
    uint64_t address, error;
    if (has_fields(*t)) {
        if (!scan_vcpu(t, r) || !field(*t, "fault_address", AS_HEX, &address) || !field(*t, "error_code", AS_HEX, &error))
            return 0;
    } else {
        if (skip(t, "address "))
            s->formats |= SEEN_OLD_FAULT;
        else if (!scan_vcpu(t, r) || !find(t, " address "))
            return 0;
        if (!hex(t, &address) || !skip(t, " error_code ") || !hex(t, &error))
            return 0;
    }
    r->gfn = address >> 12;
    r->old = error;
    return 1;
}

/* What the rest of a line says of the kernel that printed it. */
static void note(scan_t *s, text_t t, uint32_t flag, const char *word)
{
    if (!(s->formats & flag) && has(t, word))
        s->formats |= flag;
}

static int scan_exit(scan_t *s, text_t *t, record_t *r)
{
    if (!(s->formats & (SEEN_NPF | SEEN_EPT))) {
        note(s, *t, SEEN_NPF, "reason npf");
        note(s, *t, SEEN_NPF, "reason EXIT_NPF");
        note(s, *t, SEEN_EPT, "reason EPT_");
    }
    scan_vcpu(t, r);
    return 1;
}

static int scan_entry(scan_t *s, text_t *t, record_t *r)
{
    note(s, *t, SEEN_ENTRY_INFO, " intr_info ");
    scan_vcpu(t, r);
    return 1;
}

static int scan_unmap(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    if (has_fields(*t))
        return field(*t, "start", AS_HEX, &r->old) && field(*t, "end", AS_HEX, &r->value);
    return find(t, "range: ") && hex(t, &r->old) && skip(t, " -- ") && hex(t, &r->value);
}

static int scan_gfn(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    return has_fields(*t) ? field(*t, "gfn", AS_HEX, &r->gfn) : hex_after(t, "gfn ", &r->gfn);
}

enum { CALL_AUG = 1, CALL_ADD, CALL_SEPT_ADD, CALL_BLOCK, CALL_TRACK, CALL_REMOVE, CALL_DEMOTE, CALL_OTHER };

static int needs_gpa(int call)
{
    return call != CALL_TRACK && call != CALL_OTHER;
}

/* (tdx_mem_page_aug+0x4d/0x90 [kvm_intel] <- tdh_mem_page_aug) gpa=0x1000 level=0 pfn=0x2000 ret=0x0; docs/replay.md has the probes. */
static int scan_seamcall(scan_t *s, text_t *t, record_t *r)
{
    uint64_t gpa, level, value;
    (void)s;
    if (field(*t, "gpa", AS_HEX, &gpa))
        r->gfn = gpa >> 12;
    else if (needs_gpa(r->as_id))
        return 0;
    if (r->gfn >= GFNS)
        return 0;
    if (field(*t, "pg_level", AS_HEX, &level) && (level < 1 || level > LEVELS_OF_KVM))
        return 0;
    else if (!field(*t, "pg_level", AS_HEX, &level)) {
        if (!field(*t, "level", AS_HEX, &level))
            level = 0;
        if (level >= LEVELS_OF_KVM)
            return 0;
        level++;
    }
    r->level = (uint8_t)level;
    if (field(*t, "pfn", AS_HEX, &value))
        r->pfn = value;
    if (!field(*t, "ret", AS_HEX, &value))
        return 0;
    r->old = value;
    r->failed = value >> 32 != 0;
    r->gfn = r->gfn >> 9 * (r->level - 1) << 9 * (r->level - 1);
    return 1;
}

static int scan_other(scan_t *s, text_t *t, record_t *r)
{
    (void)s, (void)t, (void)r;
    return 1;
}

enum { K_CHANGED = 1, K_REQUESTED, K_SET, K_GET_PAGE, K_ZAP_PAGE, K_SPLIT, K_FAST, K_PAGE_FAULT, K_ENTRY, K_EXIT, K_UNMAP, K_AGE,
       K_MARKER, K_ZAP_ALL, K_MARK_MMIO, K_MMIO_FAULT, K_SEAMCALL, K_OTHER, K_LOST, K_STARTED };

#define EVENT(name, kind, call, fields) {name, sizeof(name) - 1, kind, call, fields}
static const struct event {
    const char *name;
    size_t size;
    int kind, call;
    int (*fields)(scan_t *, text_t *, record_t *);
} events[] = {
    EVENT("kvm_tdp_mmu_spte_changed", K_CHANGED, 0, scan_changed),
    EVENT("kvm_page_fault", K_PAGE_FAULT, 0, scan_fault),
    EVENT("kvm_mmu_spte_requested", K_REQUESTED, 0, scan_requested),
    EVENT("kvm_mmu_set_spte", K_SET, 0, scan_set),
    EVENT("kvm_entry", K_ENTRY, 0, scan_entry),
    EVENT("kvm_exit", K_EXIT, 0, scan_exit),
    EVENT("fast_page_fault", K_FAST, 0, scan_fast),
    EVENT("kvm_mmu_get_page", K_GET_PAGE, 0, scan_page),
    EVENT("kvm_mmu_prepare_zap_page", K_ZAP_PAGE, 0, scan_page),
    EVENT("kvm_mmu_split_huge_page", K_SPLIT, 0, scan_split),
    EVENT("kvm_unmap_hva_range", K_UNMAP, 0, scan_unmap),
    EVENT("kvm_age_hva", K_AGE, 0, scan_other),
    EVENT("kvm_test_age_hva", K_AGE, 0, scan_other),
    EVENT("tracing_mark_write", K_MARKER, 0, scan_other),
    EVENT("print", K_MARKER, 0, scan_other),
    EVENT("kvm_mmu_zap_all_fast", K_ZAP_ALL, 0, scan_other),
    EVENT("mark_mmio_spte", K_MARK_MMIO, 0, scan_gfn),
    EVENT("handle_mmio_page_fault", K_MMIO_FAULT, 0, scan_gfn),
    EVENT("check_mmio_spte", K_MMIO_FAULT, 0, scan_other),
    EVENT("kvm_mmio", K_MMIO_FAULT, 0, scan_other),
    EVENT("tdh_mem_page_aug", K_SEAMCALL, CALL_AUG, scan_seamcall),
    EVENT("tdh_mem_page_add", K_SEAMCALL, CALL_ADD, scan_seamcall),
    EVENT("tdh_mem_sept_add", K_SEAMCALL, CALL_SEPT_ADD, scan_seamcall),
    EVENT("tdh_mem_range_block", K_SEAMCALL, CALL_BLOCK, scan_seamcall),
    EVENT("tdh_mem_track", K_SEAMCALL, CALL_TRACK, scan_seamcall),
    EVENT("tdh_mem_page_remove", K_SEAMCALL, CALL_REMOVE, scan_seamcall),
    EVENT("tdh_mem_page_demote", K_SEAMCALL, CALL_DEMOTE, scan_seamcall),
    EVENT("tdh_phymem_page_reclaim", K_SEAMCALL, CALL_OTHER, scan_seamcall),
    EVENT("tdh_phymem_page_wbinvd_hkid", K_SEAMCALL, CALL_OTHER, scan_seamcall),
};
enum { EVENTS = sizeof events / sizeof *events };

static const struct event *event_of(const char *name, size_t size)
{
    for (size_t i = 0; i < EVENTS; i++)
        if (events[i].size == size && !memcmp(events[i].name, name, size))
            return &events[i];
    return NULL;
}

/* Whether this is the beginning of a name whose loss would matter. */
static int begins_event(const char *name, size_t size)
{
    if (size >= 3 && !memcmp(name, "kvm", 3))
        return 1;
    for (size_t i = 0; i < EVENTS; i++)
        if (events[i].kind != K_MARKER && events[i].size > size && !memcmp(events[i].name, name, size))
            return 1;
    return 0;
}

static void note_unknown(scan_t *s, const char *name, size_t length)
{
    s->unknown++;
    if (length >= NAME)
        length = NAME - 1;
    for (uint32_t i = 0; i < s->unknown_names; i++)
        if (!memcmp(s->name[i], name, length) && !s->name[i][length]) {
            s->times[i]++;
            return;
        }
    if (s->unknown_names < UNKNOWN_NAMES) {
        memcpy(s->name[s->unknown_names], name, length);
        s->times[s->unknown_names++] = 1;
    }
}
