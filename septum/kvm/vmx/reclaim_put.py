"""A removed table as D-RFC to v4 and "put-only" have it: RECLAIM and put; KVM's RCU callback frees it; designs.md 5.13, 5.7.4."""

from septum.host.geometry import Pfn, VmId
from septum.host.pools import OK
from septum.kvm.machine import Machine
from septum.kvm.ops import ops
from septum.kvm.vmx.tdx import tdx_sept_free_private_spt
from septum.lang import process


@process
def free_external_spt(m: Machine, vm: VmId, spt: Pfn):
    """RECLAIM and put; the page stays in the sp, whichever source it came from. After a failure it is leaked."""
    error = yield from tdx_sept_free_private_spt(m, vm, spt)
    if error == OK:
        yield from ops.pamt_put(m, m.sp[spt].external_spt)
    else:
        m.sp[spt].external_spt = 0
