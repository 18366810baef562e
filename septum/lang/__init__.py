"""The modelling language: structs, processes, sizes, and the two engines that run them."""

from typing import TYPE_CHECKING, Any

from septum.lang.errors import LanguageError, ModelError, NoCompiler, SeptumError, UserError, Violation
from septum.lang.model import Call, Model, Property, Scenario, Scope, Setup, Thread, call
from septum.lang.processes import (
    MEASURING,
    Meter,
    Witness,
    address,
    alike,
    atomic,
    bug_on,
    choose,
    commutes,
    current,
    each,
    observe,
    only,
    origin,
    process,
    reached,
    warn_on,
    when,
)
from septum.lang.struct import Nothing, Struct, Word
from septum.lang.types import Enum, Index, Packed, SetOf, Size, Slot, array, scope

if TYPE_CHECKING:  # a type checker cannot know that `u8` and `boolean[2]` are types: they are objects
    boolean: Any
    u8: Any
    u16: Any
    u32: Any
    u64: Any
else:
    from septum.lang.types import boolean, u8, u16, u32, u64

__all__ = [
    "MEASURING", "Call", "Enum", "Index", "LanguageError", "Meter", "Model", "ModelError", "NoCompiler", "Nothing", "Packed",
    "Property", "Scenario", "Scope", "SeptumError", "SetOf", "Setup", "Size", "Slot", "Struct", "Thread", "UserError",
    "Violation", "Witness", "Word", "address", "alike", "array", "atomic", "boolean", "bug_on", "call", "choose", "commutes",
    "current", "each", "observe", "only", "origin", "process", "reached", "scope", "u8", "u16", "u32", "u64", "warn_on", "when",
]  # fmt: skip
