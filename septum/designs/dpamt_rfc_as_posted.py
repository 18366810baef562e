"""Dynamic PAMT RFC, as posted: the count falls outside of the lock, and stays 0 where PAMT.REMOVE failed; designs.md 5.2, 4.2."""

from septum.designs.dpamt_rfc import design as dpamt_rfc
from septum.kvm.design import Design
from septum.kvm.seam import pamt_dec_outside
from septum.kvm.seam.pamt_dec_outside import COUNTED_AGAIN

design = Design("dpamt_rfc_as_posted", base=dpamt_rfc, parts=[pamt_dec_outside], sizes={COUNTED_AGAIN: 0})
