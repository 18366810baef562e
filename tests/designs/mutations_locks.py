"""Locks that are not there: neither taken nor released, so that no assertion in the release can tell.

Each row has who takes the lock and who releases it, the lock, and the property, the scenario and the design that show it.
"""

from __future__ import annotations

from tests.designs.mutations import KVM_SIDE, SPLIT, V4, Mutation

SPLIT_CACHE = "m.vm[vm].design.prealloc_split_cache_lock"
MMU_LOCK = "m.vm[vm].mmu_lock"

ROWS = (
    # pools of a VM that two splits use at a time
    ("a split without a vCPU takes no mutex", "designs/dpamt_merged_split.py", ("begin_split", "end_split"),
     "mutex", "m.vm[vm].design.pamt_cache_lock", "race", "split_punch_hole", SPLIT),
    ("a pair for an S-EPT page is popped without the cache lock", "designs/dpamt_v4.py", ("split_external_spte",),
     "spin", SPLIT_CACHE, "race", "split_punch_hole", V4),
    ("a pair for DEMOTE is popped without the cache lock", "designs/dpamt_v4.py", ("demote",),
     "spin", SPLIT_CACHE, "race", "split_punch_hole", V4),
    ("splits under mmu_lock for read have no cache lock", "designs/dpamt_v4_read.py", ("split_external_spte",),
     "spin", SPLIT_CACHE, "race", "dirty_logging", "dpamt_v4_read"),
    ("a split takes no mutex", "designs/dpamt_v2_split.py", ("begin_split", "end_split"),
     "mutex", "m.vm[vm].design.pamt_page_cache_lock", "race", "split_punch_hole", "dpamt_v2_split"),
    ("pools for all that a split needs have no mutex", "designs/seed_mutex.py", ("begin_split", "end_split"),
     "mutex", "m.vm[vm].design.mutex", "race", "split_punch_hole", "seed_mutex"),
    ("pools for all that a split needs have no spinlock", "designs/seed_spin.py", ("lock_pools", "unlock_pools"),
     "spin", "m.vm[vm].design.spinlock", "race", "split_punch_hole", "seed_spin"),
    # locks of KVM
    ("a mirror root is made without pages_lock", "kvm/mmu/mirror_root.py", ("alloc_mirror_root",),
     "spin", "m.vm[vm].life.pages_lock", "race", "first_runs", KVM_SIDE),
    ("a direct root is made without pages_lock", "kvm/tdp/roots.py", ("kvm_tdp_mmu_alloc_root",),
     "spin", "m.vm[vm].direct.pages_lock", "race", "fast_zap_faults", "kvm"),
    ("kvm->lock is not taken for what changes the state of a TD", "kvm/vmx/life.py",
     ("tdx_acquire_vm_state_locks", "tdx_release_vm_state_locks"), "mutex", "m.vm[vm].life.lock", "race", "populate_punch_hole",
     KVM_SIDE),
    ("a page is populated without invalidate_lock", "kvm/vmx/populate.py", ("kvm_gmem_populate",),
     "mutex", "m.vm[vm].invalidate_lock", "asserts", "populate_punch_hole", KVM_SIDE),
    ("a private fault has no mmu_lock", "kvm/mmu/mmu.py", ("kvm_tdp_mmu_page_fault",),
     "read", MMU_LOCK, "race", "punch_hole", "upstream"),
    ("a fault has no mmu_lock", "kvm/mmu/direct_fault.py", ("slow_page_fault",),
     "read", MMU_LOCK, "context", "notifier", "kvm"),
    ("the log is read without mmu_lock", "kvm/tdp/dirty_log.py", ("get_dirty_log",),
     "write", MMU_LOCK, "dirty log", "log_writes", "kvm"),
    ("NX recovery has no mmu_lock", "kvm/mmu/nx_recovery.py", ("lock", "unlock"),
     "read", MMU_LOCK, "accounting", "nx_recovery_zap", "kvm"),
)  # fmt: skip


def left_out(
    what: str, file: str, functions: tuple[str, ...], kind: str, lock: str, property: str, scenario: str, design: str
) -> Mutation:
    """The lock is taken in the first of the functions, and released in any of them."""
    first, *others = functions
    return Mutation(
        what, file, first, f"yield from {kind}_lock(m, {lock})", "yield", property, scenario, design,
        also=((f"{kind}_unlock(m, {lock})", "pass"),), others=tuple(others),
    )  # fmt: skip


GUARD = "    if DEMOTE_GUARDED:\n        "

LOCKS = (
    *(left_out(*row) for row in ROWS),
    Mutation(
        "DEMOTE without pamt_lock", "kvm/vmx/demote.py", "tdx_demote",
        f"{GUARD}yield from lock_pamt(m)", f"{GUARD}yield", "asserts", "split_two_tds", SPLIT,
        also=((f"{GUARD}unlock_pamt(m)", f"{GUARD}pass"),),
    ),
)  # fmt: skip
