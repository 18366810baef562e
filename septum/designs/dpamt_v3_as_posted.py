"""Dynamic PAMT v3, as posted: the count falls outside of the lock, the list is not charged to the VM; designs.md 5.4, 4.3."""

from septum.designs.dpamt_v3 import CHARGED
from septum.designs.dpamt_v3 import design as dpamt_v3
from septum.kvm.design import Design
from septum.kvm.seam import pamt_dec_outside

design = Design("dpamt_v3_as_posted", base=dpamt_v3, parts=[pamt_dec_outside], sizes={CHARGED: 0})
