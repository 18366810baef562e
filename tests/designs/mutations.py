"""One-line mutations of the designs and of the KVM slice, each with the property that should catch it, where, and under which design.

A mutation replaces `old` by `new` inside of one function of a file below septum/. `new` may be `pass`.
"""

from __future__ import annotations

from dataclasses import dataclass

MERGED, SPLIT, V4 = "dpamt_merged", "dpamt_merged_split", "dpamt_v4"
PAMT, TDP, TDX = "kvm/pamt.py", "kvm/tdp_mmu.py", "kvm/tdx.py"


@dataclass(frozen=True)
class Mutation:
    """`what` happened to the code, and what is expected of the check."""

    what: str
    file: str
    function: str
    old: str
    new: str
    property: str
    scenario: str
    design: str = MERGED
    alone: bool = False  # only this property is judged: another sees the mutation too, and earlier

    def apply(self, source: str) -> str:
        """The mutated text of the file; the mutation must fit exactly once."""
        start = source.index(f"def {self.function}(")
        end = source.find("\n\n\n", start)
        body = source[start:end]
        if body.count(self.old) != 1:
            raise ValueError(f"{self.what}: found {body.count(self.old)} times in {self.function}()")
        return source[:start] + body.replace(self.old, self.new) + source[end:]


MUTATIONS = (
    # the merged design
    Mutation("get of a table's pair left out", "designs/dpamt_merged.py", "link_external_spt",
             "error = yield from pamt_get(m, external, pamt_cache(m, vcpu))", "error = OK", "backing", "same_gfn"),
    Mutation("get of a leaf's pair left out", "designs/dpamt_merged.py", "set_external_spte",
             "error = yield from pamt_get(m, page, pamt_cache(m, vcpu))", "error = OK", "backing", "same_gfn"),
    Mutation("put left out when SEPT.ADD is busy", "designs/dpamt_merged.py", "link_external_spt",
             "yield from pamt_put(m, external)", "pass", "backing", "zero_step"),
    Mutation("put left out when PAGE.AUG is busy", "designs/dpamt_merged.py", "set_external_spte",
             "yield from pamt_put(m, page)", "pass", "backing", "zero_step"),
    Mutation("put left out after a leaf was removed", "designs/dpamt_merged.py", "remove_external_spte",
             "yield from pamt_put(m, page)", "pass", "backing", "punch_hole"),
    Mutation("put before the leaf is removed", "designs/dpamt_merged.py", "remove_external_spte",
             "error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)",
             "yield from pamt_put(m, page); error = yield from tdx_sept_remove_leaf_spte(m, vm, gfn, level, page)", "backing", "punch_hole"),
    Mutation("put of the wrong page", "designs/dpamt_merged.py", "link_external_spt",
             "yield from pamt_put(m, external)", "yield from pamt_put(m, m.td[m.vcpu[vcpu].vm].root)", "backing", "zero_step"),
    Mutation("free and put of a reclaimed table swapped", "designs/dpamt_merged.py", "free_external_spt",
             "yield from pamt_put(m, external)\n        free_page(m, external, Role.EXTERNAL)",
             "free_page(m, external, Role.EXTERNAL)\n        yield from pamt_put(m, external)", "custody", "teardown"),
    Mutation("put of a reclaimed table left out", "designs/dpamt_merged.py", "free_external_spt",
             "yield from pamt_put(m, external)", "pass", "backing", "teardown"),
    Mutation("free of a reclaimed table left out", "designs/dpamt_merged.py", "free_external_spt",
             "free_page(m, external, Role.EXTERNAL)", "pass", "custody", "teardown"),
    Mutation("external_spt not cleared after the free", "designs/dpamt_merged.py", "free_external_spt",
             "m.sp[spt].external_spt = 0", "pass", "custody", "teardown"),
    Mutation("top-up one pair short", "designs/dpamt_merged.py", "topup_external_cache",
             "pairs = tables - 1 + 1", "pairs = tables // 2 + 1", "provision", "neighbours"),
    Mutation("error of the top-up ignored", "designs/dpamt_merged.py", "topup_external_cache",
             "return error", "return OK", "provision", "same_gfn_enomem"),
    Mutation("pair list not freed with the vCPU", "designs/dpamt_merged.py", "free_external_cache",
             "free_list(m, pamt_cache(m, vcpu))", "pass", "custody", "teardown"),
    # get and put
    Mutation("lock of get left out", PAMT, "pamt_get", "yield from spin_lock(m, m.pamt_lock)", "yield", "context", "same_gfn"),
    Mutation("lock of get dropped before PAMT.ADD", PAMT, "pamt_get",
             "status = yield from pamt_add(m, r, page0, page1)",
             "spin_unlock(m, m.pamt_lock); status = yield from pamt_add(m, r, page0, page1)", "context", "same_gfn"),
    Mutation("refcount not set after PAMT.ADD", PAMT, "pamt_get", "m.range[r].refcount = 1", "pass", "backing", "same_gfn"),
    Mutation("refcount not raised for a shared range", PAMT, "pamt_get", "m.range[r].refcount += 1", "pass", "backing", "same_gfn"),
    Mutation("one spare page not freed", PAMT, "pamt_get", "free_page(m, page0, Role.HAND)\n        free_page(m, page1, Role.HAND)\n        reached",
             "free_page(m, page0, Role.HAND)\n        reached", "custody", "same_gfn"),
    Mutation("a spare page freed twice", PAMT, "pamt_get", "free_page(m, page1, Role.HAND)\n        reached",
             "free_page(m, page0, Role.HAND)\n        reached", "custody", "same_gfn"),
    Mutation("pair removed with users left", PAMT, "pamt_put", "m.range[r].refcount > 1", "m.range[r].refcount > 2", "backing", "two_tds"),
    Mutation("pair never removed", PAMT, "pamt_put", "m.range[r].refcount > 1", "m.range[r].refcount > 0", "backing", "punch_hole"),
    Mutation("refcount left at one after PAMT.REMOVE", PAMT, "pamt_put", "m.range[r].refcount = 0", "pass", "backing", "punch_hole"),
    Mutation("removed pair not freed", PAMT, "pamt_put", "free_pair(m, r)", "pass", "custody", "punch_hole"),
    Mutation("lock of put left out", PAMT, "pamt_put", "yield from spin_lock(m, m.pamt_lock)", "yield", "context", "punch_hole"),
    # v4 and its split
    Mutation("list topped up two pages short", "designs/dpamt_v4.py", "topup_external_cache",
             "tables + PAMT_PAGES", "tables - 2 + PAMT_PAGES", "provision", "neighbours", V4),
    Mutation("put of a reclaimed table left out", "designs/dpamt_v4.py", "free_external_spt",
             "yield from pamt_put_v4(m, m.sp[spt].external_spt)", "pass", "backing", "teardown", V4),
    Mutation("table freed right away and again by RCU", "designs/dpamt_v4.py", "free_external_spt",
             "yield from pamt_put_v4(m, m.sp[spt].external_spt)",
             "yield from pamt_put_v4(m, m.sp[spt].external_spt); free_page(m, m.sp[spt].external_spt, Role.EXTERNAL)", "custody", "teardown", V4),
    Mutation("need_topup asks for one pair only", "designs/dpamt_v4.py", "need_topup_split",
             "cnt < SPLIT_PAGES", "cnt < PAMT_PAGES", "provision", "two_splits", V4),
    Mutation("split pool filled without its lock", "designs/dpamt_v4.py", "topup_split",
             "yield from spin_lock(m, m.vm[vm].design.prealloc_split_cache_lock)", "yield", "context", "split", V4),
    Mutation("refcount not set after DEMOTE", "designs/dpamt_v4.py", "demote", "m.range[r].refcount = ENTRIES", "pass", "backing", "split", V4),
    Mutation("refcount set to one after DEMOTE", "designs/dpamt_v4.py", "demote", "m.range[r].refcount = ENTRIES", "m.range[r].refcount = 1",
             "backing", "split", V4),
    Mutation("no BLOCK before DEMOTE", "designs/dpamt_v4.py", "split_external_spte",
             "error = yield from block(m, vm, gfn, Level(2))", "error = OK", "asserts", "split", V4),
    Mutation("no TRACK before DEMOTE", "designs/dpamt_v4.py", "split_external_spte",
             "error = yield from tdx_track(m, vm)", "error = OK", "asserts", "split", V4),
    Mutation("no pair for the split's S-EPT page", "designs/dpamt_v4.py", "split_external_spte",
             "error = yield from pamt_get_v4(m, external, m.vm[vm].design.prealloc_split_cache)", "error = OK", "backing", "split", V4),
    Mutation("split pool not freed with the VM", "designs/dpamt_v4.py", "free_split_cache",
             "free_list(m, m.vm[vm].design.prealloc_split_cache)", "pass", "custody", "split_teardown", V4),
    # the merged design with a split
    Mutation("mutex of the split pool left out", "designs/dpamt_merged_split.py", "begin_split",
             "yield from mutex_lock(m, m.vm[vm].design.pamt_cache_lock)", "yield", "context", "split", SPLIT),
    Mutation("split pool topped up one pair short", "designs/dpamt_merged_split.py", "topup_split",
             "m.vm[vm].design.pamt_cache, SPLIT_PAGES", "m.vm[vm].design.pamt_cache, SPLIT_PAGES - PAMT_PAGES", "provision", "split", SPLIT),
    Mutation("a vCPU splits from the VM's pool without the mutex", "designs/dpamt_merged_split.py", "split_external_spte",
             "if vcpu == 0:", "if vcpu == 0 or vcpu != 0:", "provision", "two_splits", SPLIT),
    Mutation("refcount not set after DEMOTE", "designs/dpamt_merged_split.py", "demote", "m.range[r].refcount = ENTRIES", "pass",
             "backing", "split", SPLIT),
    Mutation("last entry of a split table left unfilled, it reads 0", "kvm/split.py", "split_huge_page",
             "for i in range(ENTRIES):", "for i in range(ENTRIES - 1):", "initial value", "split", V4, alone=True),
    Mutation("first entry of a split table left unfilled", "kvm/split.py", "split_huge_page",
             "for i in range(ENTRIES):", "for i in range(1, ENTRIES):", "initial value", "split", SPLIT, alone=True),
    Mutation("a split table linked with an entry left unfilled", "kvm/split.py", "split_huge_page",
             "m.table[sp].word[i] = make_small_spte(huge, i)", "m.table[sp].word[0] = make_small_spte(huge, 0)", "agreement", "split", SPLIT),
    Mutation("mmu_lock kept while a split allocates", "kvm/split.py", "tdp_mmu_split_huge_page",
             "write_unlock(m, m.vm[vm].mmu_lock)", "pass", "context", "split", SPLIT),
    Mutation("the spare sp is not freed when the leaf was split meanwhile", "kvm/split.py", "tdp_mmu_split_huge_page",
             "tdp_mmu_free_sp(m, sp)", "pass", "custody", "two_splits", SPLIT),
    Mutation("the leaf is not read again after mmu_lock was dropped", "kvm/split.py", "tdp_mmu_split_huge_page",
             "while error == OK and is_huge_leaf(m, vm, gfn):", "while error == OK and (sp != 0 or is_huge_leaf(m, vm, gfn)):",
             "asserts", "two_splits", SPLIT),
    # the fault path
    Mutation("freeze left out", TDP, "tdp_mmu_set_spte_atomic", "m.table[spt].word[i] = FROZEN_SPTE", "pass", "agreement", "same_gfn"),
    Mutation("no restore on busy", TDP, "tdp_mmu_set_spte_atomic", "old if error != OK else new", "new", "agreement", "zero_step"),
    Mutation("restore of zero on busy", TDP, "tdp_mmu_set_spte_atomic", "old if error != OK else new", "0 if error != OK else new",
             "initial value", "zero_step"),
    Mutation("FROZEN left behind", TDP, "tdp_mmu_set_spte_atomic", "old if error != OK else new", "old if error != OK else FROZEN_SPTE",
             "asserts", "punch_hole"),
    Mutation("a table that lost the race is not freed", TDP, "kvm_tdp_mmu_map", "tdp_mmu_free_sp(m, child)", "pass", "custody", "same_gfn"),
    Mutation("S-EPT page of an unused table not freed", TDP, "tdp_mmu_free_sp", "free_page(m, m.sp[spt].external_spt, Role.EXTERNAL)", "pass",
             "custody", "same_gfn"),
    Mutation("wrong level of a new table", TDP, "kvm_tdp_mmu_map", "tdp_mmu_alloc_sp(m, vcpu, gfn, Level(level - 1))",
             "tdp_mmu_alloc_sp(m, vcpu, gfn, level)", "asserts", "same_gfn"),
    Mutation("tables zeroed instead of SHADOW_NONPRESENT_VALUE", "kvm/vcpu.py", "kvm_mmu_create", "Content.NONPRESENT", "Content.ZEROED",
             "initial value", "same_gfn"),
    Mutation("tables not initialised", "kvm/vcpu.py", "kvm_mmu_create", "Content.NONPRESENT", "Content.UNDEFINED", "initial value", "same_gfn"),
    Mutation("a top-up that failed counts as done", "host/pools.py", "kvm_mmu_topup_memory_cache", "OK if mc.nobjs >= minimum else ENOMEM",
             "OK", "provision", "same_gfn_enomem", "upstream"),
    Mutation("the folio is allocated under mmu_lock", "kvm/mmu.py", "kvm_tdp_mmu_page_fault", "page = yield from kvm_gmem_get_pfn(m, vm, gfn)",
             "yield from read_lock(m, m.vm[vm].mmu_lock); page = yield from kvm_gmem_get_pfn(m, vm, gfn)", "context", "same_gfn"),
    Mutation("staleness not checked under mmu_lock", "kvm/mmu.py", "kvm_tdp_mmu_page_fault",
             "result = Fault.RETRY\n    if mmu_invalidate_retry_gfn(m, vm, mmu_seq, gfn):",
             "result = Fault.RETRY\n    if m.vm[vm].bugged:", "custody", "punch_hole"),
    Mutation("mmu_invalidate_seq not raised", "kvm/gmem.py", "kvm_mmu_invalidate_end", "kvm.mmu_invalidate_seq += 1", "pass", "custody", "punch_hole"),
    Mutation("invalidation in progress ignored", "kvm/mmu.py", "mmu_invalidate_retry_gfn", "return True", "return False", "custody", "punch_hole"),
    Mutation("fault without a page reference", "kvm/gmem.py", "kvm_gmem_get_pfn", "get_page(m, page)\n    return", "return", "custody", "same_gfn"),
    # zap
    Mutation("mirror entry not cleared by a zap", TDP, "tdp_mmu_zap_leaf", "m.table[spt].word[index_at(gfn, Level(1))] = SHADOW_NONPRESENT_VALUE",
             "pass", "agreement", "punch_hole"),
    Mutation("mirror entry zeroed by a zap", TDP, "tdp_mmu_zap_leaf", "= SHADOW_NONPRESENT_VALUE", "= 0", "initial value", "punch_hole"),
    Mutation("zap left out", "kvm/gmem.py", "kvm_gmem_punch_hole", "yield from tdp_mmu_zap_leafs(m, vm, first, last)", "pass", "custody", "punch_hole"),
    Mutation("mmu_lock of a zap taken for read", "kvm/gmem.py", "kvm_gmem_punch_hole",
             "yield from write_lock(m, m.vm[vm].mmu_lock)\n    kvm_mmu_invalidate_start",
             "yield from mutex_lock(m, m.vm[vm].slots_lock)\n    kvm_mmu_invalidate_start", "context", "punch_hole"),
    Mutation("BLOCK skipped", TDX, "tdx_sept_remove_leaf_spte", "error = yield from block(m, vm, gfn, level)", "error = OK", "asserts", "punch_hole"),
    Mutation("TRACK skipped", TDX, "tdx_sept_remove_leaf_spte", "error = yield from tdx_track(m, vm)", "error = OK", "asserts", "punch_hole"),
    Mutation("kick after TRACK skipped", TDX, "tdx_track", "yield from kvm_make_all_cpus_request(m, vm)\n    return OK", "return OK",
             "asserts", "punch_hole"),
    Mutation("vCPUs not kept out while a busy SEAMCALL is repeated", TDX, "no_vcpus_enter_start", "m.vm[vm].wait_for_sept_zap = True", "pass",
             "asserts", "punch_hole_zero_step"),
    Mutation("vCPUs not kicked before a busy SEAMCALL is repeated", TDX, "no_vcpus_enter_start", "yield from kvm_make_all_cpus_request(m, vm)",
             "pass", "asserts", "punch_hole"),
    Mutation("busy BLOCK not repeated", TDX, "block", "if status == TDX_OPERAND_BUSY:", "if status != TDX_OPERAND_BUSY and status != TDX_SUCCESS:",
             "asserts", "punch_hole"),
    # teardown
    Mutation("tables reclaimed while the HKID is assigned", "kvm/vm.py", "kvm_destroy_vm", "status = yield from release_hkid(m, vm)",
             "status = TDX_SUCCESS", "asserts", "teardown"),
    Mutation("guest_memfd keeps its pages", "kvm/vm.py", "kvm_gmem_release", "truncate(m, vm, Gfn(0), Gfn(GFNS - 1))", "pass", "custody", "teardown"),
    Mutation("leaves are left to the end", "kvm/vm.py", "kvm_gmem_release", "yield from tdp_mmu_zap_leafs(m, vm, Gfn(0), Gfn(GFNS - 1))", "pass",
             "custody", "teardown"),
    Mutation("vCPU caches not freed", "kvm/vm.py", "kvm_mmu_destroy", "kvm_mmu_free_memory_cache(m, m.vcpu[vcpu].mmu_shadow_page_cache)", "pass",
             "custody", "teardown"),
    Mutation("removed table not queued for RCU", TDP, "handle_removed_pt", "call_rcu(m, child)", "pass", "custody", "teardown"),
    Mutation("removed table freed at once and by RCU", TDP, "handle_removed_pt", "call_rcu(m, child)", "call_rcu(m, child); tdp_mmu_free_sp(m, child)",
             "custody", "teardown"),
    Mutation("TDR reclaimed before the TDCS pages", "kvm/vm.py", "tdx_vm_destroy",
             "yield from reclaim_control_page(m, vm, root)\n    yield from reclaim_control_page(m, vm, tdr)",
             "yield from reclaim_control_page(m, vm, tdr)\n    yield from reclaim_control_page(m, vm, root)", "asserts", "teardown"),
)  # fmt: skip
