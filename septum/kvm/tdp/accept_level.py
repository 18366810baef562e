"""ACCEPT at 4K of what a 2M leaf maps, where a design splits it in the fault; designs.md 9."""

from septum.kvm.tdp.split import tdx_check_accept_level
from septum.lang import process


@process
def check_accept_level(m, vcpu, gfn):
    """tdx_check_accept_level() [H v3]."""
    return (yield from tdx_check_accept_level(m, vcpu, gfn))
