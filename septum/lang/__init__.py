"""The modelling language: structs, processes, sizes, and the two engines that run them."""

from septum.lang.errors import LanguageError, ModelError, NoCompiler, SeptumError, UserError, Violation
from septum.lang.model import Call, Model, Property, Scenario, Scope, Setup, Thread, call
from septum.lang.processes import Witness, alike, atomic, bug_on, choose, current, each, process, reached, release, warn_on, when
from septum.lang.struct import Nothing, Struct, Word
from septum.lang.types import Enum, Index, Packed, Size, Slot, array, boolean, scope, u8, u16, u32, u64

__all__ = [
    "Call",
    "Enum",
    "Index",
    "LanguageError",
    "Model",
    "ModelError",
    "NoCompiler",
    "Nothing",
    "Packed",
    "Property",
    "Scenario",
    "Scope",
    "SeptumError",
    "Setup",
    "Size",
    "Slot",
    "Struct",
    "Thread",
    "UserError",
    "Violation",
    "Witness",
    "Word",
    "alike",
    "array",
    "atomic",
    "boolean",
    "bug_on",
    "call",
    "choose",
    "current",
    "each",
    "process",
    "reached",
    "release",
    "scope",
    "u8",
    "u16",
    "u32",
    "u64",
    "warn_on",
    "when",
]  # fmt: skip
