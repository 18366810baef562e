"""Dynamic PAMT v2, as posted: the count falls outside of the lock; designs.md 5.3, 4.2."""

from septum.designs.dpamt_v2 import design as dpamt_v2
from septum.kvm.design import Design
from septum.kvm.seam import pamt_dec_outside

design = Design("dpamt_v2_as_posted", base=dpamt_v2, parts=[pamt_dec_outside])
