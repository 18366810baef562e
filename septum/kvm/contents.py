"""Whether private memory may go just now: what a guest has accepted is lost with its page, so somebody must have asked for that.

A scenario that wants this checked binds VM_CONTENTS; elsewhere nothing of it is part of a state.
"""

from septum.host.frames import CHECKS_CONTENTS
from septum.host.geometry import Gfn, VmId
from septum.kvm.machine import Machine
from septum.lang import Struct, commutes
from septum.tdx.sept import SeptState, entry_of, sept_state


class VmContents(Struct):
    """The range that the holder of mmu_lock was asked to drop: by a hole, a conversion, a slot that goes, the end of the file."""

    asked: bool
    first: Gfn
    last: Gfn


def dropping(m: Machine, vm: VmId, first: Gfn, last: Gfn):
    """From here on, with mmu_lock held for write, private memory of the range goes because somebody asked for it."""
    if CHECKS_CONTENTS:
        m.vm[vm].contents.asked = True
        m.vm[vm].contents.first = first
        m.vm[vm].contents.last = last


def dropped(m: Machine, vm: VmId):
    """Before mmu_lock is released."""
    if CHECKS_CONTENTS:
        m.vm[vm].contents.asked = False
        m.vm[vm].contents.first = 0
        m.vm[vm].contents.last = 0


def check_wanted(m: Machine, vm: VmId, gfn: Gfn, level):
    """A leaf is about to be removed: if the guest accepted the page, or it was measured, its content goes with it."""
    commutes("the check reads this, and no kernel")
    if CHECKS_CONTENTS:
        asked = m.vm[vm].contents
        wanted = asked.asked and asked.first <= gfn and gfn <= asked.last
        has_content = sept_state(entry_of(m, vm, gfn, level)) == SeptState.MAPPED
        assert wanted or not has_content, f"contents: private memory at GFN {gfn} is lost, and nobody asked for that"
