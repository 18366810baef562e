"""Dynamic PAMT v6: as merged, but a range that has users is counted without the lock; designs.md 5.11, 4.6."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.kvm.design import Design
from septum.kvm.seam import pamt_dec_and_lock

design = Design("dpamt_v6", base=dpamt_merged, parts=[pamt_dec_and_lock])
