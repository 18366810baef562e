"""dpamt_merged_split whose DEMOTE takes pamt_lock only after it was busy without: an idea on a to-do list; designs.md 4.8."""

from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.kvm.design import Design
from septum.kvm.vmx.demote import DEMOTE_GUARDED, DEMOTE_TRIED_FIRST

design = Design("dpamt_merged_split_try", base=dpamt_merged_split, sizes={DEMOTE_GUARDED: 0, DEMOTE_TRIED_FIRST: 1})
