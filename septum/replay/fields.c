/* The fields of each event: what a record holds of a line. The kernel's own text, or, where a tool was asked for the fields or
 * cannot read the kernel's print format, NAME=VALUE.
 *
 * Each number has its range, and is looked at before it is narrowed: a line with another is no event of a kernel.
 *
 * Offers a function scan_* for each form of fields: whether they could be read. */

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
