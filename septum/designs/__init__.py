"""Designs, one file each: upstream, and proposals from the lists."""

from septum.designs.dpamt_merged import design as dpamt_merged
from septum.designs.upstream import design as upstream
from septum.kvm.design import Design

BUILT_IN = (upstream, dpamt_merged)

__all__ = ["BUILT_IN", "Design", "dpamt_merged", "upstream"]
