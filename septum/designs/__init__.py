"""Designs, one file each: upstream, and every proposal from the lists. `..._as_posted` has a mistake that the other one lacks."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.designs.dpamt_rfc import design as dpamt_rfc
from septum.designs.dpamt_v2 import design as dpamt_v2
from septum.designs.dpamt_v3 import design as dpamt_v3
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.designs.dpamt_v4_as_posted import design as dpamt_v4_as_posted
from septum.designs.dpamt_v6 import design as dpamt_v6
from septum.designs.upstream import design as upstream
from septum.kvm.design import Design

BUILT_IN = (
    upstream, dpamt_rfc, dpamt_v2, dpamt_v3, dpamt_v4_as_posted, dpamt_v4, dpamt_v6, dpamt_merged, dpamt_merged_split,
)  # fmt: skip

__all__ = ["BUILT_IN", "Design"]
