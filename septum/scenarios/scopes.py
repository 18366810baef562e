"""Scopes with a name: how large the world of every scenario is. What a scenario cannot do without it keeps."""

from septum.host.geometry import LEVELS, VCPUS
from septum.lang import Scope

SCOPES = (
    Scope("tiny", "two vCPUs, one level of tables below the root: a first look", {LEVELS: 2}),
    Scope("small", "two vCPUs, two levels of tables: what is taken without --scope", {}),
    Scope("review", "three vCPUs, two levels of tables: before a series is sent", {VCPUS: 3}),
)
