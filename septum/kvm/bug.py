"""KVM_BUG_ON(): marks the VM dead; reaching it is a violation."""

from septum.host.geometry import VmId
from septum.host.pools import EIO, OK, Errno
from septum.lang import Witness
from septum.tdx.status import TDX_MISSING_PAMT_PAGE_PAIR, TDX_SUCCESS, Status

lost_race = Witness("lost_race", "a vCPU lost the race for an entry")
met_frozen = Witness("met_frozen", "a fault met a FROZEN entry")
page_mapped = Witness("page_mapped", "a private page was mapped")
page_came_back = Witness("page_came_back", "a page was mapped again after its hole was punched")
table_linked = Witness("table_linked", "a table was linked")
table_freed_unused = Witness("table_freed_unused", "a table was freed that never got linked")


def vm_bugged(m, vm: VmId, error: Errno):
    """KVM_BUG_ON(error): what an operation cannot recover from."""
    m.vm[vm].bugged = True
    assert error == OK, f"asserts: an operation under mmu_lock fails with {error}: KVM_BUG_ON"
    return EIO


def tdx_bug_on(m, vm: VmId, status: Status):
    """TDX_BUG_ON() [6.19]: a SEAMCALL answered what its caller does not expect."""
    m.vm[vm].bugged = True
    assert status != TDX_MISSING_PAMT_PAGE_PAIR, "backing: a page is given to the module at 4K without its PAMT pair"
    assert status == TDX_SUCCESS, f"asserts: a SEAMCALL answers {status}, which its caller does not expect: KVM_BUG_ON"
    return EIO
