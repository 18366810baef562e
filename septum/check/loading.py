"""Models by name: the built-in designs, and files of a user, which hold a design or a whole model."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from septum.lang.errors import OutOfTime, SeptumError, UserError
from septum.lang.model import Model, Property, Scenario
from septum.lang.paths import shown_path
from septum.lang.replaced import original

USER = "septum_user_"
"""The modules that files are imported as begin so."""
CORE = ("septum.host.", "septum.tdx.", "septum.kvm.")
"""The modules of the core begin so."""


def designs() -> dict[str, Any]:
    """The built-in designs by name."""
    from septum.designs import BUILT_IN

    return {design.name: design for design in BUILT_IN}


def sides() -> dict[str, Callable[[], Model]]:
    """KVM's own side by the names of its models: plain VMs, and TDs of the designs that a kernel has."""
    from septum.scenarios import kvm_side, plain_vms

    merged = ("upstream", "dpamt_merged", "dpamt_merged_split")
    return {"kvm": plain_vms, **{f"kvm_{name}": functools.partial(kvm_side, designs()[name]) for name in merged}}


def side_titles() -> dict[str, str]:
    """What each of them is."""
    of_tds = "KVM's side of TDs of {}: conversion, prefault, building, memslots, direct trees."
    plain = "KVM's side of VMs that are no TDs: direct trees, dirty logging, aging, memslots."
    return {name: plain if name == "kvm" else of_tds.format(name.removeprefix("kvm_")) for name in sides()}


def load(name: str) -> Model:
    """The model of a built-in design, or of a file; UserError, with file and line, for what cannot be loaded."""
    from septum.scenarios import kvm_model

    if name in designs():
        return kvm_model(designs()[name])
    if name in sides():
        return sides()[name]()
    before = {module: dict(vars(module)) for part, module in sys.modules.items() if part.startswith(CORE)}
    try:
        module = _imported(Path(name))
    finally:
        assigned = _taken_back(before)
    model = _model_in(module, name)
    return replace(model, bindings={**model.bindings, **_replacements(assigned, name)}) if assigned else model


def design_in(name: str) -> tuple[Any, str]:
    """The design that a file holds, and what it is called there; UserError where it holds none."""
    from septum.designs import Design

    designs()  # what they import is known before the file is
    module = _imported(Path(name))
    named = {id(one): (one, own) for own, one in vars(module).items() if isinstance(one, Design) and not _is_built_in(one)}
    found = _its_own([one for one, _ in named.values()], module)
    if len(found) != 1:
        raise UserError(f"{name}: holds {len(found)} designs; a design is based on one")
    return named[id(found[0])]


def _taken_back(before: Mapping[ModuleType, Mapping[str, Any]]) -> list[tuple[str, Any, Any]]:
    """What a file assigned to names of the core, which is undone: a design changes nothing for others. Name, before, now."""
    found = []
    for module, names in before.items():
        for name, old in names.items():
            new = vars(module).get(name, old)
            if original(new) is not original(old) and not isinstance(new, ModuleType):
                found.append((f"{module.__name__}.{name}", old, new))
                setattr(module, name, old)
    return found


def _replacements(assigned: Sequence[tuple[str, Any, Any]], file: str) -> dict[object, object]:
    """Functions of the core that were assigned to are replaced, for this model alone: `tdp_mmu.tdp_mmu_alloc_sp = mine`."""
    from septum.kvm.replacing import replacement

    for name, old, _ in assigned:
        if not callable(old):
            raise UserError(
                f"{file}: assigns to {name}, which every design shares; a Size is given by sizes={{...}}, a function replaced"
            )
    return dict(replacement(old, new, file) for _, old, new in assigned)


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path}: no such file and no built-in design; there are {', '.join(designs())}")
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]  # two files of one name are two modules
    spec = importlib.util.spec_from_file_location(f"{USER}{path.stem}_{place}", path.resolve())
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python file; a design is a file that ends with .py")
    linecache.checkcache(str(path.resolve()))  # the file may have changed since it was read
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with _beside(path.resolve().parent):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise UserError(
            f"{shown_path(error.filename or str(path))}:{error.lineno}: {error.msg}\n    {(error.text or '').strip()}"
        ) from None
    except (SeptumError, KeyboardInterrupt, OutOfTime):
        raise
    except BaseException as error:
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path.resolve())]
        line = f":{where[-1].lineno}" if where else ""
        text = f"{type(error).__name__}: {error}\n    {where[-1].line if where else ''}{_moved(error)}"
        raise UserError(f"{shown_path(str(path))}{line}: {text}") from error
    return module


@contextmanager
def _beside(directory: Path) -> Iterator[None]:
    """Inside, modules of a file's own directory can be imported; then they are forgotten, as another file may have others.

    Python keeps no bytecode of them: what it keeps counts as new for a second, and on a full disk it may keep half.
    """
    known, kept = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept
        sys.path.remove(str(directory))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).parent == directory and not name.startswith(USER):
                linecache.checkcache(file)
                del sys.modules[name]


def _moved(error: BaseException) -> str:
    """Where in septum a module or a name is that was looked for elsewhere in it."""
    name = getattr(error, "name", None) or ""
    if not isinstance(error, ImportError) or not name.startswith("septum.") or name.count(".") < 2:
        return ""
    package = Path(__file__).parents[1]
    _, room, *_, last = name.split(".")
    files = sorted((package / room).rglob(f"{last}.py"))
    found = [".".join(file.relative_to(package.parent).with_suffix("").parts) for file in files]
    return f"\n  there is {' and '.join(found)}" if found else ""


def _model_in(module: ModuleType, name: str) -> Model:
    from septum.designs import Design

    named = {id(value): value for value in vars(module).values() if isinstance(value, Model | Design) and not _is_built_in(value)}
    made = _its_own(list(named.values()), module)
    if len(made) == 1 and isinstance(made[0], Model) and not made[0].scenarios:
        raise UserError(f"{name}: the model has no scenario, so there is nothing to check; scenarios=(Scenario(...),)")
    if len(made) != 1:
        raise UserError(
            f'{name}: holds {len(made)} designs or models; one is checked: design = Design("name", base=...) or Model(...)'
        )
    if isinstance(made[0], Model):
        return replace(made[0], file=made[0].file or Path(name).resolve())
    _check_marks(module, made[0], name)
    return _with_own(made[0], module, name)


def _its_own(found: list[Any], module: ModuleType) -> list[Any]:
    """Without the designs that a file imports, as that which its own is based on, unless it has none of its own."""
    own = [one for one in found if isinstance(one, Model) or str(one.file) == module.__file__]
    return own or found


def _with_own(design: Any, module: ModuleType, name: str) -> Model:
    """The model with the scenarios and properties of the file too; one that is named like a built-in one would hide it."""
    from septum.scenarios import SCENARIOS, kvm_model

    values = list({id(one): one for one in vars(module).values()}.values())
    own = tuple(one for one in values if isinstance(one, Scenario) and not any(one is known for known in SCENARIOS))
    for one in own:
        if any(one.name == known.name for known in SCENARIOS):
            raise UserError(f"{name}: there is a scenario {one.name} already; call this one otherwise")
    model = kvm_model(design, own)
    added = tuple(one for one in values if isinstance(one, Property) and not any(one is known for known in model.properties))
    return replace(model, properties=(*model.properties, *added))


def _check_marks(module: ModuleType, design: Any, name: str) -> None:
    """Refuses a function that is named like an operation and has no mark, and a design that lacks operations."""
    from septum.kvm.ops import OPERATIONS
    from septum.kvm.replacing import replaced

    for operation, declared in OPERATIONS.items():
        function = vars(module).get(operation)
        own = getattr(function, "__module__", "") == module.__name__
        if own and function not in replaced(design.bindings()) and design.bindings().get(declared) is not function:
            raise UserError(f"{name}: {operation}() is an operation without a mark: @design.process or @design.routine before it")
    if design.base is None and "init_vcpu" not in design.operations:
        raise UserError(f"{name}: design {design.name} has no base, and lacks operations; base=upstream gives them")


def _is_built_in(value: object) -> bool:
    return any(value is design for design in designs().values())
