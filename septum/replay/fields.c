/* The fields of each event, as the kernel prints them: what a record holds of a line. */

enum { NAME = 48, UNKNOWN_NAMES = 64 };

typedef struct record {
    uint64_t offset, line, time, gfn, pfn, old, value, sptep;
    uint32_t length, pid, tgid;
    uint16_t cpu, task;
    int16_t vcpu;
    uint8_t kind, as_id, level, failed, done;
} record_t;

typedef struct scan {
    uint64_t lines, headers, events, unknown, cut, losses, lost, shadow, backwards;
    uint64_t in_buffer, written;
    uint64_t kinds[32];
    uint32_t unknown_names, formats;
    char name[UNKNOWN_NAMES][NAME];
    uint64_t times[UNKNOWN_NAMES];
} scan_t;

enum { SCAN_NOTHING, SCAN_RECORD, SCAN_LOST };
enum { SEEN_TGID = 1, SEEN_PERF = 2, SEEN_ACCESS = 4, SEEN_OLD_FAULT = 8, SEEN_LAZY = 16, SEEN_NPF = 32, SEEN_EPT = 64,
       SEEN_ENTRY_INFO = 128 };

typedef struct text {
    const char *at, *end;
} text_t;

static int skip(text_t *t, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n))
        return 0;
    t->at += n;
    return 1;
}

static void blanks(text_t *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
        t->at++;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex(text_t *t, uint64_t *value)
{
    int n = 0;
    *value = 0;
    if (t->end - t->at > 2 && t->at[0] == '0' && t->at[1] == 'x')
        t->at += 2;
    for (int d; t->at < t->end && (d = digit_of(*t->at)) >= 0; t->at++, n++)
        *value = *value << 4 | (uint64_t)d;
    return n > 0 && n <= 16;
}

static int decimal(text_t *t, uint64_t *value)
{
    int n = 0;
    *value = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, n++)
        *value = *value * 10 + (uint64_t)(*t->at - '0');
    return n > 0 && n < 20;
}

/* Goes behind the next occurrence of `word`. */
static int find(text_t *t, const char *word)
{
    size_t n = strlen(word);
    const char *found = memmem(t->at, (size_t)(t->end - t->at), word, n);
    if (!found)
        return 0;
    t->at = found + n;
    return 1;
}

static int hex_after(text_t *t, const char *word, uint64_t *value)
{
    return find(t, word) && hex(t, value);
}

/* As trace-cmd prints a field: hexadecimal with 0x, or decimal. */
static int number_after(text_t *t, const char *word, uint64_t *value)
{
    return find(t, word) && (t->end - t->at > 2 && t->at[0] == '0' && t->at[1] == 'x' ? hex(t, value) : decimal(t, value));
}

static int level_after(text_t *t, const char *word, uint8_t *level)
{
    uint64_t value;
    if (!find(t, word) || !decimal(t, &value) || value < 1 || value > 5)
        return 0;
    *level = (uint8_t)value;
    return 1;
}

static int at_end(text_t *t)
{
    blanks(t);
    return t->at == t->end;
}

/* -- the fields of each event */

static int scan_changed(scan_t *s, text_t *t, record_t *r)
{
    uint64_t as_id;
    (void)s;
    if (!skip(t, "as id ") || !decimal(t, &as_id) || !skip(t, " gfn ") || !hex(t, &r->gfn) || !level_after(t, " level ", &r->level))
        return 0;
    r->as_id = (uint8_t)as_id;
    return skip(t, " old_spte ") && hex(t, &r->old) && skip(t, " new_spte ") && hex(t, &r->value) && at_end(t);
}

static int scan_requested(scan_t *s, text_t *t, record_t *r)
{
    if (!skip(t, "gfn ") || !hex(t, &r->gfn) || !skip(t, " pfn ") || !hex(t, &r->pfn) || !level_after(t, " level ", &r->level))
        return 0;
    if (skip(t, " access "))
        s->formats |= SEEN_ACCESS;
    return 1;
}

static int scan_set(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    return skip(t, "gfn ") && hex(t, &r->gfn) && skip(t, " spte ") && hex(t, &r->value) && level_after(t, " level ", &r->level)
        && skip(t, " at ") && hex(t, &r->sptep) && at_end(t);
}

/* [FAILED TO PARSE] mmu_valid_gen=0 gfn=16384 role=6017 root_count=0 unsync=0; role is a kvm_mmu_page_role. */
static int scan_role(text_t *t, record_t *r)
{
    uint64_t role;
    text_t start = *t;
    if (!number_after(t, " gfn=", &r->gfn))
        return 0;
    *t = start;
    if (!number_after(t, " role=", &role))
        return 0;
    r->level = role & 15;
    r->pfn = role >> 7 & 1;
    return r->level >= 1 && r->level <= 5;
}

/* sp gen 0 gfn 4000 l1 8-byte q0 direct wux nxe ad root 0 sync new
 *
 * The kernel's own print format is C that trace-cmd and perf do not understand: they print the fields, or, with their plugin for KVM,
 * `new sp gfn 4000 1 q0 direct wux ...`, and of a page that is zapped no GFN at all. Such a line says nothing. */
static int scan_page(scan_t *s, text_t *t, record_t *r)
{
    uint64_t level;
    if (skip(t, "[FAILED TO PARSE]")) {
        if (!scan_role(t, r))
            return 0;
    } else if (t->at < t->end && *t->at >= '1' && *t->at <= '5') {
        return find(t, " root ");
    } else {
        if (!find(t, "gfn ") || !hex(t, &r->gfn) || !skip(t, " ") || (skip(t, "l"), !decimal(t, &level)) || level < 1 || level > 5)
            return 0;
        r->level = (uint8_t)level;
        r->pfn = find(t, " direct ");
        if (r->pfn && !find(t, " root "))
            return 0;
    }
    s->shadow += !r->pfn;
    return 1;
}

static int scan_split(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    if (!skip(t, "gfn ") || !hex(t, &r->gfn) || !skip(t, " spte ") || !hex(t, &r->old) || !level_after(t, " level ", &r->level))
        return 0;
    if (!skip(t, " errno ") || t->at == t->end)
        return 0;
    r->failed = *t->at != '0';
    return 1;
}

static int scan_vcpu(text_t *t, record_t *r)
{
    uint64_t vcpu;
    if (!skip(t, "vcpu ") || !decimal(t, &vcpu))
        return 0;
    r->vcpu = (int16_t)vcpu;
    return 1;
}

static int scan_fast(scan_t *s, text_t *t, record_t *r)
{
    uint64_t address, spurious, fixed;
    (void)s;
    if (!scan_vcpu(t, r) || !hex_after(t, " gva ", &address) || !hex_after(t, " old ", &r->old) || !hex_after(t, " new ", &r->value)
        || !find(t, " spurious ") || !decimal(t, &spurious) || !find(t, " fixed ") || !decimal(t, &fixed))
        return 0;
    r->gfn = address >> 12;
    r->failed = !fixed;
    r->pfn = spurious;
    return 1;
}

static int scan_fault(scan_t *s, text_t *t, record_t *r)
{
    uint64_t address, error;
    if (!scan_vcpu(t, r))
        s->formats |= SEEN_OLD_FAULT;
    if (!hex_after(t, "address ", &address) || !hex_after(t, " error_code ", &error))
        return 0;
    r->gfn = address >> 12;
    r->old = error;
    return 1;
}

/* What the rest of a line says of the kernel that printed it. */
static void note(scan_t *s, text_t t, uint32_t flag, const char *word)
{
    if (!(s->formats & flag) && find(&t, word))
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
    return find(t, "range: ") && hex(t, &r->old) && hex_after(t, " -- ", &r->value);
}

static int scan_gfn(scan_t *s, text_t *t, record_t *r)
{
    (void)s;
    return hex_after(t, "gfn ", &r->gfn);
}

enum { CALL_AUG = 1, CALL_ADD, CALL_SEPT_ADD, CALL_BLOCK, CALL_TRACK, CALL_REMOVE, CALL_DEMOTE, CALL_OTHER };

static int needs_gpa(int call)
{
    return call != CALL_TRACK && call != CALL_OTHER;
}

/* (tdx_mem_page_aug+0x4d/0x90 [kvm_intel] <- tdh_mem_page_aug) gpa=0x1000 level=0 pfn=0x2000 ret=0x0; docs/replay.md has the probes. */
static int scan_seamcall(scan_t *s, text_t *t, record_t *r)
{
    text_t start = *t;
    uint64_t value;
    (void)s;
    if (hex_after(t, " gpa=", &value))
        r->gfn = value >> 12;
    else if (needs_gpa(r->as_id))
        return 0;
    *t = start;
    if (hex_after(t, " pg_level=", &value))
        r->level = (uint8_t)value;
    else if (*t = start, hex_after(t, " level=", &value))
        r->level = (uint8_t)(value + 1);
    else if (needs_gpa(r->as_id))
        r->level = 1;
    if (r->level > 5)
        return 0;
    *t = start;
    if (hex_after(t, " pfn=", &value))
        r->pfn = value;
    *t = start;
    if (!hex_after(t, " ret=", &value))
        return 0;
    r->old = value;
    r->failed = value >> 32 != 0;
    if (r->level)
        r->gfn = r->gfn >> 9 * (r->level - 1) << 9 * (r->level - 1);
    return 1;
}

static int scan_other(scan_t *s, text_t *t, record_t *r)
{
    (void)s, (void)t, (void)r;
    return 1;
}

enum { K_CHANGED = 1, K_REQUESTED, K_SET, K_GET_PAGE, K_ZAP_PAGE, K_SPLIT, K_FAST, K_PAGE_FAULT, K_ENTRY, K_EXIT, K_UNMAP, K_AGE,
       K_MARKER, K_ZAP_ALL, K_MARK_MMIO, K_MMIO_FAULT, K_SEAMCALL, K_OTHER };

static const struct event {
    const char *name;
    int kind, call;
    int (*fields)(scan_t *, text_t *, record_t *);
} events[] = {
    {"kvm_tdp_mmu_spte_changed", K_CHANGED, 0, scan_changed},
    {"kvm_mmu_spte_requested", K_REQUESTED, 0, scan_requested},
    {"kvm_mmu_set_spte", K_SET, 0, scan_set},
    {"kvm_mmu_get_page", K_GET_PAGE, 0, scan_page},
    {"kvm_mmu_prepare_zap_page", K_ZAP_PAGE, 0, scan_page},
    {"kvm_mmu_split_huge_page", K_SPLIT, 0, scan_split},
    {"fast_page_fault", K_FAST, 0, scan_fast},
    {"kvm_page_fault", K_PAGE_FAULT, 0, scan_fault},
    {"kvm_entry", K_ENTRY, 0, scan_entry},
    {"kvm_exit", K_EXIT, 0, scan_exit},
    {"kvm_unmap_hva_range", K_UNMAP, 0, scan_unmap},
    {"kvm_age_hva", K_AGE, 0, scan_other},
    {"kvm_test_age_hva", K_AGE, 0, scan_other},
    {"tracing_mark_write", K_MARKER, 0, scan_other},
    {"print", K_MARKER, 0, scan_other},
    {"kvm_mmu_zap_all_fast", K_ZAP_ALL, 0, scan_other},
    {"mark_mmio_spte", K_MARK_MMIO, 0, scan_gfn},
    {"handle_mmio_page_fault", K_MMIO_FAULT, 0, scan_gfn},
    {"check_mmio_spte", K_MMIO_FAULT, 0, scan_other},
    {"kvm_mmio", K_MMIO_FAULT, 0, scan_other},
    {"tdh_mem_page_aug", K_SEAMCALL, CALL_AUG, scan_seamcall},
    {"tdh_mem_page_add", K_SEAMCALL, CALL_ADD, scan_seamcall},
    {"tdh_mem_sept_add", K_SEAMCALL, CALL_SEPT_ADD, scan_seamcall},
    {"tdh_mem_range_block", K_SEAMCALL, CALL_BLOCK, scan_seamcall},
    {"tdh_mem_track", K_SEAMCALL, CALL_TRACK, scan_seamcall},
    {"tdh_mem_page_remove", K_SEAMCALL, CALL_REMOVE, scan_seamcall},
    {"tdh_mem_page_demote", K_SEAMCALL, CALL_DEMOTE, scan_seamcall},
    {"tdh_phymem_page_reclaim", K_SEAMCALL, CALL_OTHER, scan_seamcall},
    {"tdh_phymem_page_wbinvd_hkid", K_SEAMCALL, CALL_OTHER, scan_seamcall},
};

static void note_unknown(scan_t *s, const char *name, size_t length)
{
    s->unknown++;
    if (length >= NAME)
        length = NAME - 1;
    for (uint32_t i = 0; i < s->unknown_names; i++)
        if (!strncmp(s->name[i], name, length) && !s->name[i][length]) {
            s->times[i]++;
            return;
        }
    if (s->unknown_names < UNKNOWN_NAMES) {
        memcpy(s->name[s->unknown_names], name, length);
        s->times[s->unknown_names++] = 1;
    }
}
