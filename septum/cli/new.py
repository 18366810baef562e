"""`septum new`: a design of one's own, begun as a commented file, or from a patch of the kernel."""

from __future__ import annotations

import ast
import inspect
import keyword
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from septum.check.loading import USER
from septum.cli import names
from septum.cli.output import write
from septum.lang.errors import UserError
from septum.lang.whole import write_whole
from septum.sources.begin import Begun, annotated, left_out, preface, told

if TYPE_CHECKING:
    from septum.kvm.design import Design


@click.command(short_help="Begin a design of your own.")
@click.argument("design")
@click.option(
    "--from",
    "base",
    metavar="DESIGN",
    default="dpamt_merged",
    help="The design, or file, that it changes (default: dpamt_merged).",
)
@click.option("--op", "operations", metavar="NAME", multiple=True, help="Copy this operation, to be changed; may be repeated.")
@click.option(
    "--patch",
    metavar="FILE",
    help="Begin with what a patch of the kernel touches; - reads it from standard input, a directory is all its *.patch files.",
)
def new(design: str, base: str, operations: tuple[str, ...], patch: str | None) -> None:
    """Write DESIGN.py, a design that is like another one until it is changed.

    The file says what may be changed, and shows the operations of the design that it is based on. With --patch it copies those
    that stand for kernel functions which the patch touches, marks what the patch adds and takes away, and names the scenarios
    to check. It does not translate C.
    """
    path = Path(design if design.endswith(".py") else f"{design}.py")
    name = path.stem
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UserError(f"{name} is no name for a design; letters, digits and _ make one")
    if path.exists():
        raise UserError(f"{path} is there already; choose another name, or remove it")
    begun, scenarios, nameless = from_patch(patch, base) if patch else ([], {}, [])
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no directory {path.parent}")
    if names.is_file(base) and Path(base).resolve().parent != path.resolve().parent:
        raise UserError(f"{path}: imports what lies beside it, and {base} lies in another directory")
    source = text(name, base, operations, begun, scenarios, nameless)
    write_whole(path, source)
    lines = [f"{path} is written. It is {base} until you change it:"]
    if patch:
        lines = [f"{path} is written. It is {base} until you translate the patch, which touches"]
        lines += [f"  {one.touched.name}(): {told(one)}" for one in begun]
        lines += [left_out(nameless)] if nameless else []
        lines += [f"septum check {model} has {', '.join(names)}" for model, names in scenarios.items() if model]
        lines += [f"The scenarios that come there: {', '.join(scenarios[''])}"] if "" in scenarios else []
    where = path if path.is_absolute() else f"./{path}"
    lines += [f"  septum check {where} --scenario {one}" for one in (scenarios.get("", [])[:1] if patch else ["same_gfn"])]
    write("\n".join(lines))


def from_patch(source: str, base: str) -> tuple[list[Begun], dict[str, list[str]], list[str]]:
    """What a patch touches, with what the design `base` has for it; the scenarios that come there; hunks that are left out."""
    from septum.sources.begin import begin
    from septum.sources.patch import read
    from septum.sources.reached import scenarios
    from septum.sources.series import text_of

    design, _ = based_on(base)
    patch = read(text_of(source))
    begun = begin(patch.functions, design)
    return begun, scenarios(base, begun), patch.nameless


def text(
    name: str,
    base: str,
    operations: tuple[str, ...] = (),
    begun: Sequence[Begun] = (),
    scenarios: Mapping[str, Sequence[str]] | None = None,
    nameless: Sequence[str] = (),
) -> str:
    """The file: imports, the design, what each operation has to do, copies of those that were asked for or that a patch needs."""
    from septum.kvm.ops import OPERATIONS

    found, base_import = based_on(base)
    for operation in operations:
        names.known("operation", operation, found.operations, base)
    asked = dict.fromkeys([*operations, *(operation for one in begun for operation in one.operations)])
    copies = [copied(found, operation) for operation in asked]
    notes = [annotated(source, operation, begun) for operation, (source, _) in zip(asked, copies, strict=True)]
    homes: dict[str, set[str]] = {"septum.kvm.design": {"Design"}}
    for home, wanted in (item for _, names_of in copies for item in names_of):
        homes.setdefault(home, set()).add(wanted)
    imports = [f"from {home} import {', '.join(sorted(homes[home]))}" for home in sorted(homes)]
    parts = [
        f'"""{name}: say here in one line what is new about it. So far it is {base}."""\n',
        "\n".join([base_import, *imports]) + "\n",
        f'design = Design("{name}", base={base_import.rpartition(" ")[2]})\n',
        *(["\n".join(preface(begun, scenarios or {}, nameless)) + "\n"] if begun else []),
        *(f"\n{source}" for source in notes),
        "\n" + "\n".join(advice(found, OPERATIONS)) + "\n",
    ]
    return "\n".join(parts)


def based_on(base: str) -> tuple[Design, str]:
    """A built-in design, or the one of a file, and how a file imports it."""
    from septum.check.loading import design_in, designs

    if names.is_file(base):
        design, own = design_in(base)
        return design, f"from {Path(base).stem} import {own} as {Path(base).stem}"
    names.known("design", base, designs())
    return designs()[base], f"from septum.designs.{base} import design as {base}"


def copied(found: Design, operation: str) -> tuple[str, list[tuple[str, str]]]:
    """The source of an operation, and what it needs to import: module and name."""
    function = found.function(operation)
    source = inspect.getsource(function)
    kind = "process" if inspect.isgeneratorfunction(function) else "routine"
    lines = source.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("def "))
    body = "\n".join([f"@design.{kind}", *lines[first:]]) + "\n"
    module = inspect.getmodule(function)
    held = {name for name, value in vars(module).items() if not isinstance(value, type(found))}
    used = sorted({node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)} & held)
    return body, [(home_of(used_name, module), used_name) for used_name in used]


def home_of(name: str, module: Any) -> str:
    """The module that a module imports a name from, or itself."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and any((one.asname or one.name) == name for one in node.names):
            return node.module or ""
    name = str(module.__name__)
    return Path(module.__file__).stem if name.startswith(USER) else name


def advice(found: Design, operations: dict[str, Callable[..., Any]]) -> list[str]:
    """Every operation as a comment: its parameters, what it has to do, where the base has it."""
    lines = [
        "# An operation that stands here takes the place of the base's. There are:",
        "#",
    ]
    for name, declared in operations.items():
        if name not in found.operations:
            continue
        parameters = ", ".join(inspect.signature(declared).parameters)
        where = found.function(name)
        file = Path(where.__code__.co_filename)
        kind, _, what = (declared.__doc__ or "").partition(".")
        mark = "process" if kind.lower().startswith("process") else "routine"
        lines += [f"#   @design.{mark}", f"#   def {name}({parameters}):", f"#       {what.strip()}"]
        lines += [f"#       now: {file.parent.name}/{file.name}:{where.__code__.co_firstlineno}", "#"]
    lines += [
        "# Pages move with the functions of septum.host.frames and septum.host.pools, so that each has one holder.",
        "# `septum new NAME --from BASE --op OPERATION` copies an operation to begin with; `septum show BASE` shows all of it.",
    ]
    return lines
