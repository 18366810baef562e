"""A design: who allocates which page, when, from which pool, under which lock, who frees it, as functions in one file."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from septum.host.cpu import CPU_DESIGN
from septum.host.ranges import RANGE_DESIGN
from septum.kvm.machine import MACHINE_DESIGN, SP_DESIGN, VCPU_DESIGN, VM_DESIGN
from septum.kvm.ops import OPERATIONS
from septum.kvm.replacing import place_of, replacement
from septum.lang import Size, Slot, Struct, Thread, UserError, call
from septum.lang import process as mark_process
from septum.lang.model import check_bindings
from septum.lang.paths import shown_path
from septum.lang.processes import is_process
from septum.lang.types import type_name

VCPU_POOL = Size("VCPU_POOL", 0)  # pages that the design's own pools of a vCPU may hold
VM_POOL = Size("VM_POOL", 0)  # the same of a VM
MACHINE_POOL = Size("MACHINE_POOL", 0)  # the same of the machine and all its CPUs

Function = TypeVar("Function", bound=Callable[..., Any])
StructType = TypeVar("StructType", bound=type[Struct])


class Design:
    """The operations of a design: its own, those of its parts, its base's; its structs, and the sizes that it fixes.

        design = Design("dpamt_merged", base=upstream)

        @design.process
        def topup_external_cache(m, vcpu, tables): ...

    A function is given for the operation of its name. The text at the top of the file is the design's title. `parts` are modules
    whose operations and sizes the design takes, before its own.
    """

    def __init__(
        self, name: str, base: Design | None = None, sizes: Mapping[Size, object] | None = None, parts: Sequence[ModuleType] = ()
    ) -> None:
        if base is not None and not isinstance(base, Design):
            raise UserError(f"design {name}: base={base!r} is no Design; import the design of another file")
        self.name, self.base = name, base
        self.file = Path(sys._getframe(1).f_code.co_filename)
        self._module = sys._getframe(1).f_globals
        self._own: dict[object, object] = {}
        self._threads: list[Thread] = []
        for part in parts:
            self._take(part)
        check_bindings(f"{shown_path(str(self.file))}:{sys._getframe(1).f_lineno}: design {name}", sizes or {})
        self._own.update(sizes or {})

    def process(self, function: Function) -> Function:
        """`@design.process`: this process is the design's operation of its name."""
        return self._operation(mark_process(function))

    def routine(self, function: Function) -> Function:
        """`@design.routine`: this routine is the design's operation of its name."""
        return self._operation(function)

    def replaces(self, function: Callable[..., Any]) -> Callable[[Function], Function]:
        """`@design.replaces(tdp_mmu_alloc_sp)`: this function stands in the place of one of the core, for this design alone.

        It is a process or a routine as that one is, with as many parameters. Where it calls that one, the core's runs.
        """

        def decorate(own: Function) -> Function:
            marked = mark_process(own) if inspect.isgeneratorfunction(own) else own
            old, new = replacement(function, marked, place_of(own))
            first = self._own.setdefault(old, new)
            if first is not new:
                raise UserError(f"{place_of(own)}: {old.__name__} is replaced twice: by {first.__name__}, and by {new.__name__}")  # type: ignore[attr-defined]
            return own

        return decorate

    def vcpu(self, struct: StructType) -> StructType:
        """`@design.vcpu`: the struct that is embedded as `vcpu.design`."""
        return self._struct("vCPU", VCPU_DESIGN, struct)

    def vm(self, struct: StructType) -> StructType:
        """`@design.vm`: the struct that is embedded as `vm.design`."""
        return self._struct("VM", VM_DESIGN, struct)

    def machine(self, struct: StructType) -> StructType:
        """`@design.machine`: the struct that is embedded as `m.design`, once for all VMs."""
        return self._struct("machine", MACHINE_DESIGN, struct)

    def cpu(self, struct: StructType) -> StructType:
        """`@design.cpu`: the struct embedded as `cpu.design`, of every CPU; one's own is `m.cpu[me()].design`."""
        return self._struct("CPU", CPU_DESIGN, struct)

    def sp(self, struct: StructType) -> StructType:
        """`@design.sp`: the struct that is embedded as `sp.design`, in the header of every table."""
        return self._struct("table", SP_DESIGN, struct)

    def range(self, struct: StructType) -> StructType:
        """`@design.range`: the struct that is embedded as `range.design`, for every 2M physical range."""
        return self._struct("range", RANGE_DESIGN, struct)

    def thread(self, name: str) -> Callable[[Function], Function]:
        """`@design.thread("kworker")`: this process, of the machine alone, runs on a CPU of its own in every scenario.

        It is a daemon: it may wait for ever, and what must hold at rest is judged where it waits.
        """
        if not isinstance(name, str):
            raise UserError(
                f"{shown_path(str(self.file))}: design {self.name}: @design.thread wants a name: @design.thread('kworker')"
            )

        def decorate(function: Function) -> Function:
            given = list(inspect.signature(function).parameters)
            if len(given) != 1 or not inspect.isgeneratorfunction(function):
                place = place_of(function)
                raise UserError(
                    f"{place}: {function.__name__}({', '.join(given)}) is a thread: a process of the machine alone, (m)"
                )
            self._threads.append(Thread(name, (call(mark_process(function)),), daemon=True))
            return function

        return decorate

    @property
    def threads(self) -> tuple[Thread, ...]:
        """Those that run beside a scenario's: of a name that its base has too the design's own."""
        inherited = self.base.threads if self.base else ()
        return tuple({one.name: one for one in (*inherited, *self._threads)}.values())

    def _struct(self, whose: str, slot: Slot, struct: StructType) -> StructType:
        """A struct of the design's own; another one in the same place would be lost."""
        first = self._own.setdefault(slot, struct)
        if first is not struct:
            names = f"{type_name(first)}, {type_name(struct)}"
            place = f"{shown_path(str(self.file))}:{sys._getframe(2).f_lineno}"
            raise UserError(f"{place}: the {whose}'s struct is given twice: {names}; one struct may have both their fields")
        return struct

    @property
    def title(self) -> str:
        """The first line of the design's file."""
        return (self._module.get("__doc__") or "").strip().partition("\n")[0]

    @property
    def operations(self) -> frozenset[str]:
        """The names of the operations that the design has."""
        return frozenset(name for name, declared in OPERATIONS.items() if declared in self.bindings())

    def bindings(self) -> dict[object, object]:
        """What a scope has to bind: operations to functions, slots to structs, sizes to numbers."""
        return {**(self.base.bindings() if self.base else {}), **self._own}

    def function(self, name: str) -> Callable[..., Any]:
        """The design's function for an operation, its own or its base's."""
        return self.bindings()[OPERATIONS[name]]  # type: ignore[return-value]

    def _take(self, part: ModuleType) -> None:
        """A part is a module: its functions that are named like operations, and its SIZES."""
        for name in OPERATIONS:
            if name in vars(part):
                self._operation(vars(part)[name])
        self._own.update(getattr(part, "SIZES", {}))

    def _operation(self, function: Function) -> Function:
        name = function.__name__
        place = place_of(function)
        if name not in OPERATIONS:
            near = difflib.get_close_matches(name, OPERATIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; the operations are {', '.join(OPERATIONS)}"
            raise UserError(f"{place}: {name} is no operation{hint} (helpers are marked @process, or not at all)")
        declared, given = (list(inspect.signature(f).parameters) for f in (OPERATIONS[name], function))
        if len(declared) != len(given):
            raise UserError(f"{place}: {name} takes ({', '.join(given)}), and is called with ({', '.join(declared)})")
        wants = (OPERATIONS[name].__doc__ or "").partition(",")[0].partition(".")[0].lower()
        if is_process(function) != (wants == "process"):
            raise UserError(f"{place}: {name} is a {wants}: write @design.{wants} before it")
        self._own[OPERATIONS[name]] = function
        return function
