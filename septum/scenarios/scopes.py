"""Scopes with a name: how large the world of every scenario is. What a scenario cannot do without it keeps."""

from septum.host.geometry import LEVELS, PAGES, VCPUS
from septum.lang import Scope, Size

WIDE = Size("WIDE", 0)  # each scenario is as large as its `larger` says
NARROW = Size("NARROW", lambda: 1 - WIDE.value)

SCOPES = (
    Scope("tiny", "two vCPUs, one level of tables below the root: a first look", {LEVELS: 2}),
    Scope("small", "two vCPUs, two levels of tables: what is taken without --scope", {}),
    Scope("review", "three vCPUs, two levels of tables: before a series is sent", {VCPUS: 3}),
    Scope("wide", "the larger size that each scenario has: another vCPU, or another level of tables", {WIDE: 1}),
    Scope("large", "four vCPUs, 256 page frames: for hunt, far too large to be explored", {VCPUS: 4, PAGES: 256}),
)
