/* The events that are read, each with its kind (K_) and the function that reads its fields.
 *
 * Offers event_of, by name; begins_event and note_unknown are for names that are none of these. */

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
