"""The modelling language: structs, processes, sizes, and the two engines that run them.

A name is imported from its file when it is first asked for: a command that runs no model need not wait for what models need.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from septum.lang.types import Enum, Index, Packed, SetOf, Size, Slot, array, boolean, scope, u8, u16, u32, u64
    from septum.lang.words import (
        READ_ONCE,
        WRITE_ONCE,
        atomic_add,
        atomic_cmpxchg,
        atomic_dec,
        atomic_dec_and_test,
        atomic_dec_return,
        atomic_fetch_add,
        atomic_inc,
        atomic_inc_not_zero,
        atomic_inc_return,
        atomic_read,
        atomic_set,
        atomic_sub,
        atomic_t,
        atomic_xchg,
        bits_t,
        clear_bit,
        cmpxchg,
        refcount_dec,
        refcount_dec_and_test,
        refcount_inc,
        refcount_inc_not_zero,
        refcount_read,
        refcount_set,
        refcount_t,
        set_bit,
        test_and_clear_bit,
        test_and_set_bit,
        test_bit,
        xchg,
    )

__all__ = [
    "MEASURING", "READ_ONCE", "WRITE_ONCE", "Call", "Enum", "Index", "LanguageError", "Meter", "Model", "ModelError",
    "NoCompiler", "Nothing", "Packed", "Property", "Scenario", "Scope", "SeptumError", "SetOf", "Setup", "Size", "Slot",
    "Struct", "Thread", "UserError", "Violation", "Witness", "Word", "address", "alike", "array", "atomic", "atomic_add",
    "atomic_cmpxchg", "atomic_dec", "atomic_dec_and_test", "atomic_dec_return", "atomic_fetch_add", "atomic_inc",
    "atomic_inc_not_zero", "atomic_inc_return", "atomic_read", "atomic_set", "atomic_sub", "atomic_t", "atomic_xchg",
    "bits_t", "boolean", "bug_on", "call", "choose", "clear_bit", "cmpxchg", "commutes", "current", "each", "observe", "only",
    "origin", "process", "reached", "refcount_dec", "refcount_dec_and_test", "refcount_inc", "refcount_inc_not_zero",
    "refcount_read", "refcount_set", "refcount_t", "scope", "set_bit", "test_and_clear_bit", "test_and_set_bit", "test_bit",
    "u8", "u16", "u32", "u64", "warn_on", "when", "xchg",
]  # fmt: skip

FILES = ("errors", "types", "struct", "processes", "words", "model")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for file in FILES:
            found = vars(import_module(f"{__name__}.{file}"))
            if name in found:
                globals()[name] = found[name]
                return found[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
