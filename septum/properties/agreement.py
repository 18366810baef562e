"""Agreement: the mirror and the S-EPT say the same of every entry that nobody is changing."""

from septum.host.entry import FROZEN_SPTE, describe
from septum.host.geometry import GFNS, LEVELS, Gfn, Level, VmId, index_at, leaf_base
from septum.kvm.machine import Machine, TdState, VmState
from septum.kvm.tdp.spte import is_last_spte, is_shadow_present_pte, spte_to_pfn
from septum.kvm.versions import KERNEL, V6_19
from septum.lang import each
from septum.tdx.geometry import BUILDS
from septum.tdx.sept import SeptState, is_sept_leaf, sept_page, sept_state
from septum.tdx.td import Lifecycle


def agreement(m: Machine):
    """For entries not FROZEN, while mmu_lock is not held for write and the VM is not bugged; kvm-mmu.md 7.2 I3 to I5."""
    for vm in each(VmId):
        kvm = m.vm[vm]
        alive = kvm.state == VmState.RUNNABLE and m.td[vm].lifecycle == Lifecycle.KEYS_CONFIGURED and not kvm.bugged
        if alive and kvm.mirror_root != 0 and kvm.mmu_lock.writer == 0:
            for gfn in range(GFNS):
                compare(m, vm, Gfn(gfn))
        elif kvm.mirror_root != 0 and kvm.mmu_lock.writer != 0:
            for gfn in range(GFNS):
                check_thawed(m, vm, Gfn(gfn))


def check_thawed(m: Machine, vm: VmId, gfn: Gfn):
    """While mmu_lock is held for write no linked entry is FROZEN; kvm-mmu.md 7.2 I2."""
    spt = m.vm[vm].mirror_root
    level = Level(LEVELS)
    while level != 0:
        spte = m.table[spt].word[index_at(gfn, level)]
        assert spte != FROZEN_SPTE, f"agreement: GFN {gfn} level {level} is FROZEN while mmu_lock is held for write (I2)"
        if not is_shadow_present_pte(spte) or is_last_spte(spte, level):
            return
        spt = spte_to_pfn(spte)
        level = Level(level - 1)


def premapped(m: Machine, vm: VmId, external):
    """Until 6.18 the mirror of a TD that is not finalized may map a page that was not added yet; kvm-mmu.md 5.4."""
    if BUILDS and KERNEL < V6_19:
        return m.vm[vm].life.state != TdState.RUNNABLE and sept_state(external) == SeptState.FREE
    return False


def compare(m: Machine, vm: VmId, gfn: Gfn):
    """The entries on the way to `gfn`, from the root down."""
    spt = m.vm[vm].mirror_root
    sept = m.td[vm].root
    level = Level(LEVELS)
    while level != 0:
        mirror = m.table[spt].word[index_at(gfn, level)]
        external = m.table[sept].word[index_at(gfn, level)]
        if mirror == FROZEN_SPTE:
            assert m.vm[vm].mmu_lock.readers != 0, f"agreement: GFN {gfn} level {level} is FROZEN, and nobody changes it (I1)"
            return
        if not is_shadow_present_pte(mirror):
            free = sept_state(external) == SeptState.FREE
            assert free, f"agreement: GFN {gfn} level {level}: the mirror has nothing, the S-EPT {describe(external)}"
            return
        if is_last_spte(mirror, level):
            if premapped(m, vm, external):
                return
            same = is_sept_leaf(external) and sept_page(external) == spte_to_pfn(mirror)
            assert same, f"agreement: GFN {gfn} level {level}: the mirror maps {describe(mirror)}, the S-EPT {describe(external)}"
            usable = sept_state(external) in (SeptState.MAPPED, SeptState.PENDING)
            assert usable, f"agreement: GFN {gfn} level {level}: the mirror maps it, and the S-EPT has {describe(external)}"
            return
        child = m.sp[spte_to_pfn(mirror)]
        same = sept_state(external) == SeptState.NL_MAPPED and sept_page(external) == child.external_spt
        assert same, f"agreement: GFN {gfn} level {level}: the mirror links {describe(mirror)}, the S-EPT {describe(external)}"
        fits = child.level + 1 == level and child.gfn == leaf_base(gfn, level)
        assert fits, f"agreement: GFN {gfn} level {level}: the mirror links a table of GFN {child.gfn} level {child.level} (I5)"
        spt = spte_to_pfn(mirror)
        sept = sept_page(external)
        level = Level(level - 1)
