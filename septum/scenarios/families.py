"""The scenarios by what races in them. docs/scenarios.md shows each in two sizes, for the designs that a kernel has."""

FAMILIES = {
    "fault / fault": (
        "same_gfn", "same_gfn_enomem", "neighbours", "neighbours_enomem", "zero_step", "views_faults", "unaccepted",
    ),
    "fault / punch hole": ("punch_hole", "punch_hole_zero_step", "close_file", "files_holes", "memory_failure", "pending_ve"),
    "fault / convert": (
        "fault_convert", "convert_both_ways", "hypercalls", "convert_punch_hole", "yielding", "views_convert", "views_mixed",
    ),
    "fault / memslot delete and move": (
        "memslot_delete", "slot_replaced", "views_slot_delete", "files_delete", "slot_delete", "slot_delete_leaves", "slot_move",
        "slot_move_leaves", "slot_stress", "mmio", "views_mmio",
    ),
    "prefault / delete": (
        "prefault_delete", "close_delete", "close_toggle", "prefault_convert", "prefault_signals", "prefault_other_slot",
        "prefault_other_slot_leaves",
    ),
    "populate / vCPU init / punch hole": (
        "populate_punch_hole", "populate_signals", "finalize_punch_hole", "finalize_prefault", "first_runs",
        "killed_ioctls",
        "populate_two_files",
    ),
    "split / fault / accept": ("split", "two_splits", "split_punch_hole", "split_same"),
    "convert at head and tail of a 2M leaf": ("convert_ends",),
    "two TDs in one 2M range": ("two_tds", "split_two_tds"),
    "teardown / other TD": (
        "teardown", "teardown_tables", "change_cpus", "install_without_vcpu", "rcu_callbacks", "split_teardown", "life",
        "erratum", "plain_teardown",
    ),
    "dirty logging of huge pages, eager and lazy": (
        "log_eager", "log_lazy", "log_writes", "log_pml", "log_manual", "log_initially_set", "log_set_lazy",
        "recover", "views_log", "log_track", "log_1g", "recover_1g",
    ),
    "aging / zap": ("age_zap", "age_notifier", "recover_age", "nx_recovery_age", "age_alias", "age_track"),
    "a SEAMCALL or an allocation fails": (
        "same_gfn_fails", "teardown_fails", "split_fails", "split_enomem", "life_fails", "life_enomem",
    ),
    "fault / MMU notifier, fast zap, NX recovery": (
        "notifier", "notifier_slots", "notifier_alias", "notifier_range", "copy_on_write", "fast_zap_faults", "fast_zap_notifier",
        "fast_zap_tables", "nx_recovery", "nx_recovery_zap", "views_notifier", "views_fast_zap", "views_fetch",
    ),
}  # fmt: skip
