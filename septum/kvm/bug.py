"""KVM_BUG_ON(): marks the VM dead and goes on; reaching it is a violation, but where a scenario made a SEAMCALL fail."""

from septum.host.geometry import VmId
from septum.host.pools import EIO, OK, Errno
from septum.lang import Witness, commutes, reached, warn_on
from septum.tdx.injection import last_call_failed, was_injected
from septum.tdx.status import TDX_MISSING_PAMT_PAGE_PAIR, TDX_SUCCESS, Status

lost_race = Witness("lost_race", "a vCPU lost the race for an entry")
met_frozen = Witness("met_frozen", "a fault met a FROZEN entry")
page_mapped = Witness("page_mapped", "a private page was mapped")
page_came_back = Witness("page_came_back", "a page was mapped again after its hole was punched")
table_linked = Witness("table_linked", "a table was linked")
table_freed_unused = Witness("table_freed_unused", "a table was freed that never got linked")


vm_died = Witness("vm_died", "a VM was dead after a KVM_BUG_ON, and the kernel went on")


def dies(m, vm: VmId):
    """What KVM_BUG_ON() does when its condition holds: the VM is dead. Whether that is news: else it does not WARN."""
    commutes("a VM that is dead stays dead, and who finds it alive asks again")
    alive = not m.vm[vm].bugged
    m.vm[vm].bugged = True
    reached(vm_died)
    return alive


def vm_bugged(m, vm: VmId, error: Errno):
    """KVM_BUG_ON(error): what an operation cannot recover from."""
    news = dies(m, vm) and not last_call_failed(m)
    warn_on(error != OK and news, f"asserts: an operation under mmu_lock fails with {error}: KVM_BUG_ON")
    return EIO


def tdx_bug_on(m, vm: VmId, status: Status):
    """TDX_BUG_ON() [6.19]: a SEAMCALL answered what its caller does not expect."""
    news = dies(m, vm) and not was_injected(m, status)
    unbacked = status == TDX_MISSING_PAMT_PAGE_PAIR
    warn_on(news and unbacked, "backing: a page is given to the module at 4K without its PAMT pair")
    unexpected = status != TDX_SUCCESS and not unbacked
    warn_on(news and unexpected, f"asserts: a SEAMCALL answers {status}, which its caller does not expect: KVM_BUG_ON")
    return EIO
