"""dpamt_v4 in which every S-EPT page of a fault comes from the emergency allocation, as if the list were always empty.

The list of v4 never runs dry, so its third source of pages is never used in a correct run. Here it is, to ask whether pages
from it keep a single owner: septum check examples/atomic_source.py --property custody
"""

from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.host.frames import Content
from septum.host.pools import alloc_atomic
from septum.kvm.design import Design
from septum.lang import bug_on

design = Design("atomic_source", base=dpamt_v4)


@design.process
def alloc_external_spt(m, vcpu):
    page = yield from alloc_atomic(m, Content.UNDEFINED)
    bug_on(page == 0, "asserts: no page even with GFP_ATOMIC")
    return page
