"""Designs, one file each: upstream, and every proposal from the lists. `..._as_posted` has a mistake that the other one lacks."""

from septum.designs.dpamt_carry import design as dpamt_carry
from septum.designs.dpamt_lazy import design as dpamt_lazy
from septum.designs.dpamt_merged import design as dpamt_merged
from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.designs.dpamt_merged_split_try import design as dpamt_merged_split_try
from septum.designs.dpamt_range_locks import design as dpamt_range_locks
from septum.designs.dpamt_rfc import design as dpamt_rfc
from septum.designs.dpamt_rfc_as_posted import design as dpamt_rfc_as_posted
from septum.designs.dpamt_v2 import design as dpamt_v2
from septum.designs.dpamt_v2_as_posted import design as dpamt_v2_as_posted
from septum.designs.dpamt_v2_split import design as dpamt_v2_split
from septum.designs.dpamt_v2_split_as_posted import design as dpamt_v2_split_as_posted
from septum.designs.dpamt_v3 import design as dpamt_v3
from septum.designs.dpamt_v3_as_posted import design as dpamt_v3_as_posted
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.designs.dpamt_v4_as_posted import design as dpamt_v4_as_posted
from septum.designs.dpamt_v4_read import design as dpamt_v4_read
from septum.designs.dpamt_v4_read_unchecked import design as dpamt_v4_read_unchecked
from septum.designs.dpamt_v5 import design as dpamt_v5
from septum.designs.dpamt_v5_alt import design as dpamt_v5_alt
from septum.designs.dpamt_v5_as_posted import design as dpamt_v5_as_posted
from septum.designs.dpamt_v5_free_unused import design as dpamt_v5_free_unused
from septum.designs.dpamt_v5_put_only import design as dpamt_v5_put_only
from septum.designs.dpamt_v6 import design as dpamt_v6
from septum.designs.seed_mutex import design as seed_mutex
from septum.designs.seed_spin import design as seed_spin
from septum.designs.upstream import design as upstream
from septum.kvm.design import Design

BUILT_IN = (
    upstream, dpamt_lazy, dpamt_rfc_as_posted, dpamt_rfc, dpamt_v2_as_posted, dpamt_v2, dpamt_v2_split_as_posted, dpamt_v2_split,
    dpamt_range_locks, dpamt_v3_as_posted, dpamt_v3, dpamt_v4_as_posted, dpamt_v4, dpamt_v4_read, dpamt_v4_read_unchecked,
    dpamt_carry, dpamt_v5_as_posted, dpamt_v5, dpamt_v5_free_unused, dpamt_v5_alt, dpamt_v5_put_only, seed_spin, seed_mutex,
    dpamt_v6, dpamt_merged, dpamt_merged_split_try, dpamt_merged_split,
)  # fmt: skip

__all__ = ["BUILT_IN", "Design"]
