"""Scopes with a name: how large the world of every scenario is. What a scenario cannot do without it keeps."""

from septum.host.geometry import LEVELS, PAGES, VCPUS
from septum.kvm.direct import RESCHED
from septum.lang import Scope

SCOPES = (
    Scope("tiny", "two vCPUs, one level of tables below the root: a first look", {LEVELS: 2}),
    Scope("small", "two vCPUs, two levels of tables: what is taken without --scope", {}),
    Scope("review", "three vCPUs, two levels of tables: before a series is sent", {VCPUS: 3}),
    Scope("large", "four vCPUs, 256 page frames: for hunt, far too large to be explored", {VCPUS: 4, PAGES: 256}),
)

WIDE = Scope(
    "wide",
    "plain VMs with four levels of tables, and loops that yield: the larger size of KVM's own side",
    {LEVELS: 4, RESCHED: 1},
)
