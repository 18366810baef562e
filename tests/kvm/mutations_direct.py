"""One-line mistakes in the direct side and in ioctls, each with the property and the scenario that catch it."""

from __future__ import annotations

from septum.scenarios import PLAIN_VMS
from tests.designs.mutations import Mutation

ROOTS, NOTIFIER, DIRTY, REGION = "kvm/tdp/roots.py", "kvm/virt/notifier.py", "kvm/tdp/dirty_log.py", "kvm/virt/memory_region.py"
PREFAULT, NX, ATTRIBUTES = "kvm/mmu/prefault.py", "kvm/mmu/nx_recovery.py", "kvm/virt/attributes.py"
LIFE, POPULATE, PAMT = "kvm/vmx/life.py", "kvm/vmx/populate.py", "kvm/seam/pamt_always_lock.py"
FAULT, MMU, CHANGED, AGING = "kvm/mmu/direct_fault.py", "kvm/tdp/tdp_mmu.py", "kvm/tdp/changed_spte.py", "kvm/virt/aging.py"

SWAPPED = (
    "    slots.active.generation += 1\n    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)\n"
    "    slots.active.generation += 1"
)

LOCK = "m.vm[vm].files.file[number].invalidate_lock"
UNBOUND = (
    f"    yield from mutex_lock(m, {LOCK})\n"
    "    for index in range(GFNS):\n"
    "        if m.vm[vm].files.file[number].bindings[Gfn(index)] == slot:\n"
    "            m.vm[vm].files.file[number].bindings[Gfn(index)] = 0\n"
)

ROWS = (
    # roots and references
    ("the list is not searched again under pages_lock", ROOTS, "kvm_tdp_mmu_alloc_root",
     "        root = get_valid_root(m, vm)\n        if root == 0:\n", "        if root == 0:\n", "roots", "fast_zap_faults"),
    ("a root is found without a reference for the vCPU", ROOTS, "get_valid_root",
     "m.sp[root].direct.root_count += 1", "pass", "roots", "fast_zap_faults"),
    ("a new root without the TDP MMU's reference", ROOTS, "add_root",
     "root_count = 2", "root_count = 1", "asserts", "fast_zap_faults"),
    ("an invalid root is put before it is zapped", ROOTS, "kvm_tdp_mmu_zap_invalidated_roots",
     "            yield from tdp_mmu_zap_direct_root(m, vm, root, shared)\n"
     "            yield from kvm_tdp_mmu_put_root(m, vm, root)\n",
     "            yield from kvm_tdp_mmu_put_root(m, vm, root)\n            yield from kvm_tdp_mmu_put_root(m, vm, root)\n"
     "            yield from tdp_mmu_zap_direct_root(m, vm, root, shared)\n            m.sp[root].direct.root_count += 1\n",
     "asserts", "plain_teardown"),
    ("a root is freed without a grace period", ROOTS, "kvm_tdp_mmu_put_root",
     "call_rcu(m, root)", "take(m, root, Role.SPT, Role.HAND)", "rcu", "age_zap"),
    ("a vCPU keeps its reference to an obsolete root", ROOTS, "kvm_mmu_free_roots",
     "yield from kvm_tdp_mmu_put_root(m, vm, root)", "pass", "asserts", "plain_teardown"),
    ("a fault goes on with an invalid root", "kvm/mmu/mmu.py", "has_obsolete_root",
     "root == 0 or m.sp[root].direct.invalid", "root == 0", "asserts", "fast_zap_faults"),
    ("roots are invalidated, and no vCPU is told", ROOTS, "kvm_mmu_zap_all_fast",
     "request_free_obsolete_roots(m, vm)", "pass", "translation", "fast_zap_notifier"),
    ("only leaves are zapped with a root", ROOTS, "tdp_mmu_zap_direct_root",
     "zap_level = Level(zap_level + 1) if zap_level != LEVELS else Level(0)", "zap_level = Level(0)", "accounting",
     "fast_zap_faults"),
    # MMU notifiers and the sequence counter
    ("TLBs are not flushed by an MMU notifier", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "yield from kvm_flush_remote_tlbs(m, vm)", "pass", "translation", "notifier"),
    ("MMU notifiers leave invalid roots out", NOTIFIER, "kvm_unmap_gfn_range",
     "KVM_DIRECT_ROOTS | KVM_INVALID_ROOTS", "KVM_DIRECT_ROOTS", "translation",
     "fast_zap_notifier"),
    ("mmu_lock is taken for read when the log is read", DIRTY, "get_dirty_log",
     "yield from write_lock(m, m.vm[vm].mmu_lock)", "yield from read_lock(m, m.vm[vm].mmu_lock)", "context", "log_writes"),
    ("an MMU notifier does not count as active", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "m.vm[vm].memslots.mn_active_invalidate_count += 1", "pass", "asserts", "notifier_slots"),
    ("slots are swapped while an MMU notifier is active", REGION, "kvm_activate_memslot",
     "yield when(lambda: m.vm[vm].memslots.mn_active_invalidate_count == 0)", "yield", "invalidation", "notifier_slots"),
    ("the page is dropped after the end of the notifier", NOTIFIER, "madvise_dontneed",
     "    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, first, last)\n",
     "    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, first, last)\n"
     "    yield from kvm_mmu_notifier_invalidate_range_end(m, vm, first, last)\n"
     "    m.vm[vm].memslots.mn_active_invalidate_count += 1\n    kvm = m.vm[vm]\n    kvm.mmu_invalidate_in_progress += 1\n",
     "translation", "notifier"),
    ("the sequence counter is not looked at under mmu_lock", FAULT, "slow_page_fault",
     "    elif slot != 0 and mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):\n        reached(stale_fault)\n", "", "translation",
     "notifier"),
    ("the sequence counter is read after the page", FAULT, "slow_page_fault",
     "    yield from read_lock(m, m.vm[vm].mmu_lock)\n",
     "    yield\n    mmu_seq = m.vm[vm].mmu_invalidate_seq\n    yield from read_lock(m, m.vm[vm].mmu_lock)\n", "translation",
     "notifier"),
    ("a fault has no reference to its page", FAULT, "hva_to_pfn", "get_page(m, page)", "pass", "custody", "notifier"),
    # memslots and SRCU
    ("no grace period when slots are swapped", REGION, "kvm_activate_memslot",
     "    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)\n", "", "translation", "slot_delete_leaves"),
    ("the dying slot is freed before the grace period", REGION, "kvm_delete_memslot",
     "    yield from kvm_activate_memslot(m, vm, number, MemslotId(0))\n    free_memslot(m, vm, copy)\n",
     "    free_memslot(m, vm, copy)\n    yield from kvm_activate_memslot(m, vm, number, MemslotId(0))\n", "custody",
     "slot_delete"),
    ("a dying slot is not flushed", REGION, "kvm_arch_flush_shadow_memslot",
     "flush = yield from kvm_unmap_gfn_range(m, vm, memslot.base_gfn, last, True, True)", "flush = True", "translation",
     "slot_delete_leaves"),
    ("TLBs are not flushed for a dying slot", REGION, "kvm_arch_flush_shadow_memslot",
     "            yield from kvm_flush_remote_tlbs(m, vm)", "            pass", "translation", "slot_move_leaves"),
    ("what was zapped is not flushed before a yield", "kvm/tdp/walk.py", "tdp_mmu_iter_cond_resched",
     "        yield from kvm_flush_remote_tlbs(m, vm)", "        pass", "translation", "slot_move_leaves"),
    ("faults are not kept out of a dying slot", FAULT, "slow_page_fault",
     "if is_dying(m, vm, slot):", "if False:", "translation", "slot_delete_leaves"),
    ("the generation of the memslots is not raised", REGION, "kvm_activate_memslot",
     SWAPPED,
     "    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)", "mmio", "mmio"),
    ("the generation does not say that an update goes on", REGION, "kvm_activate_memslot",
     SWAPPED,
     "    slots.active.generation += 2\n    yield from synchronize_srcu(m, m.vm[vm].memslots.srcu)", "mmio", "mmio"),
    # SPTEs of direct trees
    ("an SPTE is stored without a comparison", "kvm/tdp/set_spte.py", "tdp_mmu_set_direct_spte_atomic",
     "was = cmpxchg(m.table[spt].word[i], old, new)", "m.table[spt].word[i] = new\n    was = old", "accounting", "notifier"),
    ("statistics count what was not installed", MMU, "kvm_tdp_mmu_map",
     "if error == OK and not is_mirror_sp(m, spt):", "if not is_mirror_sp(m, spt):", "accounting", "notifier"),
    ("tables of zeros", "kvm/vmx/vcpu.py", "kvm_mmu_create",
     "Content.NONPRESENT", "Content.ZEROED", "initial value", "slot_delete"),
    ("a root is invalidated that stays valid", ROOTS, "kvm_tdp_mmu_invalidate_roots",
     "m.sp[root].direct.invalid = True", "pass", "asserts", "plain_teardown"),
    ("the children of a table are not frozen", CHANGED, "freeze_removed",
     "m.table[child].word[i] = FROZEN_SPTE", "m.table[child].word[i] = 0x8000000000000000", "accounting", "nx_recovery"),
    ("a table that is unlinked is not taken apart", CHANGED, "handle_changed_spte",
     "yield from handle_removed_direct_pt(m, vm, spte_to_pfn(old), shared)", "yield", "accounting", "nx_recovery"),
    ("a table that is unlinked is not freed", CHANGED, "handle_removed_direct_pt",
     "call_rcu(m, child)", "pass", "custody", "plain_teardown"),
    ("TLBs are not flushed when a table is unlinked", "kvm/mmu/nx_recovery.py", "kvm_recover_nx_huge_pages",
     "        yield from kvm_flush_remote_tlbs(m, vm)", "        pass", "rcu", "nx_recovery"),
    ("no RCU read section is waited for", "host/rcu.py", "call_rcu",
     "if m.cpu[thread].rcu != 0:", "if False:", "rcu", "age_zap"),
    ("direct tables below one that is unlinked are forgotten", CHANGED, "handle_removed_direct_pt",
     "yield from handle_removed_leaf_table(m, vm, spte_to_pfn(old), shared)", "yield", "accounting", "fast_zap_tables"),
    ("mirror tables below one that is unlinked are forgotten", "kvm/tdp/mirror_zap.py", "handle_removed_pt",
     "yield from handle_removed_empty_pt(m, vm, spte_to_pfn(old))", "yield", "asserts", "teardown_tables"),
    # splits, A and D bits, the dirty log
    ("split children all map the first page", MMU, "tdp_mmu_split_direct",
     "make_small_spte(huge, i)", "make_small_spte(huge, 0)", "translation", "log_eager"),
    ("a leaf is recovered as its own first page", DIRTY, "make_recovered",
     "make_huge_spte(small, i)", "make_huge_spte(small, 0)", "translation", "recover"),
    ("aging stores what it read before", AGING, "age_leaf",
     "Entry(now ^ (now & SHADOW_ACCESSED_MASK))", "Entry(old ^ SHADOW_ACCESSED_MASK)", "translation", "age_notifier", "7.1"),
    ("TLBs are not flushed when logging begins", DIRTY, "kvm_mmu_slot_apply_flags",
     "    yield from kvm_flush_remote_tlbs(m, vm)", "    pass", "dirty log", "log_writes"),
    ("TLBs are not flushed when the log is read", DIRTY, "get_dirty_log",
     "        yield from kvm_flush_remote_tlbs(m, vm)", "        pass", "dirty log", "log_writes"),
    ("a fast page fault marks nothing dirty", FAULT, "fast_page_fault",
     "mark_page_dirty_in_slot(m, vm, slot, gfn)", "pass", "dirty log", "log_writes"),
    ("a writable leaf is made, and nothing marked dirty", MMU, "map_direct_leaf",
     "mark_page_dirty_in_slot(m, vm, f.slot, gfn)", "pass", "dirty log", "log_writes"),
    ("a huge leaf keeps W when logging begins lazily", DIRTY, "wrprot_gfn_range",
     "            yield from take_bit(m, vm, root, leaf_base(gfn, Level(2)), Level(2), bit)", "            pass",
     "dirty log", "log_lazy"),
    ("the page-modification log is not flushed on an exit", "kvm/x86/direct_run.py", "leave",
     "flush_pml(m, vcpu)", "pass", "dirty log", "log_pml"),
    ("D bits are not cleared when logging begins", DIRTY, "kvm_mmu_slot_apply_flags",
     "SHADOW_DIRTY_MASK if PML else PT_WRITABLE_MASK", "0 if PML else PT_WRITABLE_MASK", "dirty log", "log_pml"),
    ("a CPU that executes shared memory of a TD", "kvm/tdp/tlb.py", "guest_access",
     "if acc == Acc.INSTR and m.vm[vm].direct.gfn_direct_bits != 0:", "if False:", "asserts", "views_fetch"),
    ("TLBs are not flushed when the log is cleared", "kvm/tdp/manual_log.py", "kvm_clear_dirty_log_protect",
     "        yield from kvm_flush_remote_tlbs(m, vm)", "        pass", "dirty log", "log_manual"),
    ("what is cleared is not protected again", "kvm/tdp/manual_log.py", "kvm_arch_mmu_enable_log_dirty_pt_masked",
     "yield from clear_dirty_pt_masked(m, vm, root, mask)", "yield", "dirty log", "log_manual"),
    ("pages do not count as dirty at first, and are not protected", REGION, "kvm_change_memslot",
     "set_all_dirty(m, vm, new)", "pass", "dirty log", "log_initially_set"),
    ("a huge leaf keeps W when one of its pages is cleared", "kvm/tdp/manual_log.py", "kvm_arch_mmu_enable_log_dirty_pt_masked",
     "yield from write_protect_huge_gfn(m, vm, root, leaf_base(Gfn(gfn), Level(2)))", "yield", "dirty log", "log_set_lazy"),
    ("an MMU notifier forgets what an earlier slot has to flush", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "flush = flush or zapped", "flush = zapped", "translation", "notifier_alias"),
    ("an MMU notifier stops at the first slot", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "        if slot != 0:\n", "        if slot != 0 and not found:\n", "translation", "notifier_alias"),
    ("the GFN of a second slot is not in the invalidated range", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "                kvm_mmu_invalidate_range_add(m, vm, low, high)", "                pass", "translation", "notifier_alias"),
    ("only the first page of a range is unmapped", NOTIFIER, "kvm_mmu_notifier_invalidate_range_start",
     "kvm_unmap_gfn_range(m, vm, low, high, False, True)", "kvm_unmap_gfn_range(m, vm, low, low, False, True)", "translation",
     "notifier_range"),
    ("a range ends for the first page of a slot that comes after it", "kvm/memslots.py", "slot_in_hva_range",
     "memslot.hva <= last and", "memslot.hva <= first and", "translation", "notifier_range"),
    # copy on write
    ("a shared page is mapped writable for a reader", FAULT, "hva_to_pfn",
     "fault.map_writable = not mm.read_only[hva]", "fault.map_writable = True", "translation", "copy_on_write"),
    ("leaves stay mapped where the host's page becomes read-only", NOTIFIER, "write_protect_hva",
     "    yield from kvm_mmu_notifier_invalidate_range_start(m, vm, hva, hva)\n",
     "    kvm = m.vm[vm]\n    kvm.mmu_invalidate_in_progress += 1\n    kvm.memslots.mn_active_invalidate_count += 1\n",
     "translation", "copy_on_write"),
    # a CPU with the partial-write erratum
    ("private memory is not rewritten", "kvm/vmx/tdx.py", "tdx_sept_remove_leaf_spte",
     "    tdx_quirk_reset_paddr(m, page)\n", "", "contents", "erratum"),
    ("an S-EPT page is not rewritten", "kvm/vmx/tdx.py", "tdx_sept_free_private_spt",
     "    tdx_quirk_reset_paddr(m, m.sp[spt].external_spt)\n", "", "contents", "erratum"),
    ("a control page is not rewritten", "kvm/x86/vm.py", "reclaim_control_page",
     "    tdx_quirk_reset_paddr(m, page)\n", "", "contents", "erratum"),
    ("a PAMT pair is not rewritten", "kvm/seam/pamt_always_lock.py", "free_rewritten",
     "    tdx_quirk_reset_paddr(m, page1)\n", "", "contents", "erratum"),
    # ioctls and signals
    ("a prefault that was interrupted says that all of it is left", "kvm/mmu/prefault.py", "pre_fault_range",
     "write_back(m, vcpu, u8(npages - done))", "write_back(m, vcpu, u8(npages))", "asserts", "prefault_signals"),
    ("a population that was interrupted says that all of it is left", "kvm/vmx/populate.py", "populate_region",
     "write_back(m, vcpu, u8(npages - done))", "write_back(m, vcpu, u8(npages))", "asserts", "populate_signals"),
    ("a population that was interrupted keeps its source page", "kvm/vmx/populate.py", "tdx_gmem_post_populate",
     "m.vm[vm].life.page_add_src = False", "m.vm[vm].life.page_add_src = error != OK", "asserts", "populate_signals"),
    # two guest_memfd files
    ("an offset in a file is taken for a GFN", "kvm/virt/gmem_files.py", "kvm_gmem_invalidate_start",
     "low = first_gfn(m, vm, slot, first)", "low = first", "contents", "files_holes"),
    ("a hole is punched in the wrong file", "kvm/virt/gmem_files.py", "kvm_gmem_punch_hole_in",
     "yield from kvm_gmem_invalidate_start(m, vm, number, first, last)",
     "yield from kvm_gmem_invalidate_start(m, vm, FileId(3 - number), first, last)", "custody", "files_holes"),
    ("an invalidation forgets the one of the other file", "kvm/invalidation.py", "kvm_mmu_invalidate_start",
     "if kvm.mmu_invalidate_in_progress == 1:", "if kvm.mmu_invalidate_in_progress != 0:", "custody", "files_holes"),
    ("a slot is unbound without the lock of its file", "kvm/virt/gmem_files.py", "kvm_gmem_unbind_from",
     f"{UNBOUND}    mutex_unlock(m, {LOCK})", UNBOUND.replace(f" from mutex_lock(m, {LOCK})", ""),
     "invalidation", "files_delete"),
    ("the end of an invalidation looks at no binding", "kvm/virt/gmem_files.py", "kvm_gmem_punch_hole_in",
     "if is_bound(m, vm, number, first, last):", "if number != 0:", "asserts", "files_delete"),
    # memory that fails
    ("a page that failed stays mapped", "kvm/virt/gmem.py", "kvm_gmem_error_folio",
     "yield from tdp_mmu_zap_leafs(m, vm, gfn, gfn)", "yield", "poison", "memory_failure"),
    ("the end of an invalidation is not counted", "kvm/invalidation.py", "kvm_mmu_invalidate_end",
     "kvm.mmu_invalidate_seq += 1", "pass", "poison", "memory_failure"),
    # 1G leaves
    ("the 2M leaves of a split 1G leaf all map the first 2M", MMU, "tdp_mmu_split_direct",
     "make_small_huge_spte(huge, i)", "make_small_huge_spte(huge, 0)", "translation", "log_1g"),
    ("a 1G leaf is recovered as its own second half", DIRTY, "tdp_mmu_make_huge_spte",
     "return make_huge_spte(huge, i * ENTRIES)", "return huge", "translation", "recover_1g"),
    # vCPUs that move between CPUs
    ("a vCPU that moves is not flushed", "kvm/vmx/association.py", "tdx_vcpu_load",
     "yield from tdx_flush_vp_on_cpu(m, vcpu)", "yield", "asserts", "change_cpus"),
    ("a vCPU that moved is not on a list", "kvm/vmx/association.py", "tdx_vcpu_load",
     "m.vcpu[vcpu].life.associated = True", "pass", "asserts", "change_cpus"),
    # mixed 2M ranges
    ("2M leaves of mixed ranges", "kvm/tdp/mixed.py", "is_disallowed",
     "if hugepage_test_mixed(m, vm, gfn):", "if False:", "translation", "views_mixed"),
    ("mixed ranges are not noted", "kvm/virt/attributes.py", "set_attributes",
     "kvm_arch_post_set_memory_attributes(m, vm, first, last)", "pass", "translation", "views_mixed"),
    ("an invalidation does not reach to the start of a 2M range", "kvm/virt/attributes.py", "first_straddled",
     "return table_base(first, Level(1))", "return first", "translation", "views_mixed"),
    # without A/D bits
    ("a leaf is aged without a comparison", AGING, "age_leaf",
     "elif now == old:", "else:", "translation", "age_track"),
    ("what was aged is zapped without a flush", NOTIFIER, "zap_direct_leaf",
     "return True", "return old & 0x100 != 0", "translation", "age_track"),
    ("W comes back with a fault for reading", FAULT, "fixed_spte",
     "if write and is_mmu_writable_spte(old):", "if is_mmu_writable_spte(old):", "dirty log", "log_track"),
    # private memory that is not accepted
    ("vCPUs in the guest are not told that their VM is dead", "kvm/vmx/unaccepted.py", "kvm_vm_dead",
     "yield from kvm_make_all_cpus_request(m, vm)", "yield", "asserts", "unaccepted"),
    ("a vCPU enters the guest of a VM that is dead", "kvm/vmx/vcpu.py", "tdx_vcpu_run",
     "if is_dead(m, vm):", "if False:", "asserts", "unaccepted"),
    # what one release does and another does not
    ("aging without A/D bits compares nothing", AGING, "age_leaf",
     "elif now == old:", "elif AD_DISABLED or now == old:", "translation", "age_track"),
    ("the MMU is not reloaded at each try of a prefault", PREFAULT, "kvm_tdp_page_prefault",
     "if KERNEL >= NEXT:", "if False:", "progress", "prefault_other_slot", "next"),
    ("the MMU is not reloaded for a prefault", PREFAULT, "kvm_arch_vcpu_pre_fault_memory",
     "    error = yield from reload_mmu(m, vcpu)\n", "    error = OK\n", "progress", "prefault_other_slot_leaves"),
    ("the roots of a plain VM outlive a memslot", REGION, "kvm_arch_flush_shadow_memslot",
     "yield from kvm_mmu_zap_all_fast(m, vm)", "yield", "translation", "slot_delete"),
    ("the roots of a plain VM outlive the move of a memslot", REGION, "kvm_arch_flush_shadow_memslot",
     "yield from kvm_mmu_zap_all_fast(m, vm)", "yield from write_lock(m, m.vm[vm].mmu_lock)\n"
     "            write_unlock(m, m.vm[vm].mmu_lock)", "translation", "slot_move"),
    ("a memslot that is moved is freed before the grace period", REGION, "kvm_move_memslot",
     "    yield from kvm_activate_memslot(m, vm, number, new)\n    free_memslot(m, vm, copy)\n",
     "    free_memslot(m, vm, copy)\n    yield from kvm_activate_memslot(m, vm, number, new)\n", "custody", "slot_move"),
    ("guest_memfd is taken off a memslot", REGION, "kvm_change_memslot",
     "KERNEL >= V6_19 and memslot.gmem", "False", "custody", "close_toggle"),
    ("NX recovery has no SRCU section", NX, "kvm_recover_nx_huge_pages",
     "    srcu_read_lock(m.vm[vm].memslots.srcu)\n", "", "context", "nx_recovery_zap"),
    ("NX recovery takes a leaf or an empty entry for the table that it found", NX, "kvm_tdp_mmu_zap_possible_nx_huge_page",
     "if not is_table(old, Level(2)) or spte_to_pfn(old) != child:", "if False:", "asserts", "nx_recovery_zap"),
    ("a fast page fault gives W to a 2M leaf of a slot that logs", FAULT, "fast_page_fault",
     "slot != 0 and not m.vm[vm].memslots.memslot[slot].log_dirty", "slot != 0", "dirty log", "log_lazy"),
    ("a conversion takes no GFN for one with a memslot", ATTRIBUTES, "overlaps_memslot",
     "                return True", "                return False", "translation", "views_convert"),
    ("a conversion zaps nothing of a memslot", ATTRIBUTES, "set_attributes",
     "yield from kvm_arch_pre_set_memory_attributes(m, vm, first, last, shared)", "yield", "agreement", "views_convert"),
    ("kvm->lock is dropped while a vCPU is created", LIFE, "kvm_vm_ioctl_create_vcpu",
     "if KERNEL < V7_3:", "if True:", "asserts", "populate_punch_hole"),
    ("a vCPU that is created does not come online", LIFE, "kvm_vm_ioctl_create_vcpu",
     "m.vm[vm].life.online_vcpus += 1", "pass", "asserts", "finalize_punch_hole"),
    ("a fatal signal leaves kvm->lock held", LIFE, "tdx_acquire_vm_state_locks",
     "            mutex_unlock(m, m.vm[vm].life.lock)\n            return error", "            return error", "deadlock",
     "killed_ioctls"),
    ("a fatal signal leaves the mutex of a vCPU held", LIFE, "lock_all_vcpus",
     "unlock_vcpus(m, vm)", "pass", "deadlock", "killed_ioctls"),
    ("all mutexes are given back, held or not", LIFE, "unlock_vcpus",
     "m.vcpu[vcpu].vm == vm and holds_exclusively(m.vcpu[vcpu].life.mutex)", "m.vcpu[vcpu].vm == vm", "context",
     "killed_ioctls"),
    ("KVM_TDX_INIT_MEM_REGION keeps its locks", "kvm/x86/ioctls.py", "kvm_tdx_init_mem_region",
     "    end_region(m, vcpu)\n", "", "deadlock", "populate_signals"),
    ("NX recovery keeps mmu_lock", NX, "unlock", "read_unlock(m, m.vm[vm].mmu_lock)", "pass", "deadlock", "nx_recovery_zap"),
    ("a prefault keeps its SRCU section", PREFAULT, "pre_fault_range",
     "srcu_read_unlock(m.vm[vm].memslots.srcu)", "pass", "deadlock", "prefault_other_slot_leaves"),
    ("a prefault has no SRCU section", PREFAULT, "pre_fault_range",
     "srcu_read_lock(m.vm[vm].memslots.srcu)", "pass", "context", "prefault_other_slot_leaves"),
    # Dynamic PAMT as merged
    ("the pages of a pair are not rewritten (Dynamic PAMT)", PAMT, "free_rewritten",
     "    tdx_quirk_reset_paddr(m, page0)\n", "", "contents", "erratum"),
    ("2M leaves while the slot logs", "kvm/tdp/direct.py", "direct_mapping_level",
     "slot != 0 and not m.vm[vm].memslots.memslot[slot].log_dirty", "slot != 0", "dirty log", "log_lazy"),
)  # fmt: skip

PLAIN = {one.name for one in PLAIN_VMS}


def design_of(what: str, scenario: str) -> str:
    """The model in which a mistake can be seen."""
    if scenario in PLAIN:
        return "kvm"
    return "kvm_dpamt_merged" if "PAMT" in what else "kvm_upstream"


MUTATIONS = tuple(Mutation(*row[:7], design_of(row[0], row[6]), *row[7:]) for row in ROWS)  # type: ignore[arg-type, misc]
