"""Designs, one file each: upstream, and proposals from the lists."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.designs.dpamt_merged_split import design as dpamt_merged_split
from septum.designs.dpamt_v4 import design as dpamt_v4
from septum.designs.upstream import design as upstream
from septum.kvm.design import Design

BUILT_IN = (upstream, dpamt_v4, dpamt_merged, dpamt_merged_split)

__all__ = ["BUILT_IN", "Design", "dpamt_merged", "dpamt_merged_split", "dpamt_v4", "upstream"]
