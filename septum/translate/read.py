"""Reads a function of a model: Python's tree under a scope, for given kinds of the arguments, as a typed tree.

It is read again only where the kind of a local turned out wider than where it had been read.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Sequence

from septum.lang import processes
from septum.lang.frames import Frames, Point, Saved
from septum.lang.source import Source
from septum.lang.values import NOTHING, Kind, Nothing, Num, Of, Ref, bits, is_index, stored
from septum.translate.flow import flow
from septum.translate.read_calls import CALLS
from septum.translate.read_expressions import EXPRESSIONS
from septum.translate.read_operators import OPERATORS
from septum.translate.read_statements import STATEMENTS, declared
from septum.translate.reader import Around, Reader, Table, refuse_at
from septum.translate.tree import Function, Invoke, Pause
from septum.translate.unassigned import refuse_unassigned

TABLE: Table = {**EXPRESSIONS, **OPERATORS, **CALLS, **STATEMENTS}

PASSES_BEFORE_WIDENING = 4


def read(around: Around, source: Source, arguments: Sequence[Kind]) -> Function:
    """The typed tree of a function for these kinds of its arguments; LanguageError for what the language does not have."""
    is_process = processes.is_process(source.function)
    if is_process and not inspect.isgeneratorfunction(source.function):
        source.refuse(source.tree, f"the process {source.name} has no yield", "a routine: leave @process out")
    names, annotations = local_names(source.tree), source.annotations()
    reader = Reader(around, source, TABLE, names, annotations, is_process, kinds={}, fixed={})
    parameters = _parameters(reader, arguments)
    reader.kinds, reader.fixed = dict(parameters), dict(parameters)
    passes = 0
    while True:
        body = reader.block(source.tree.body)
        passes += 1
        if not reader.stale:
            break
        reader = Reader(around, source, TABLE, names, annotations, is_process, reader.kinds, reader.fixed,
                        widens=passes >= PASSES_BEFORE_WIDENING)  # fmt: skip
    returns = NOTHING if reader.returns is None else reader.returns
    function = Function(source, parameters, reader.kinds, returns, body, is_process, reader.piece, reader.loops)
    if not isinstance(returns, Nothing) and flow(function).falls_through:
        reason = f"{source.name} returns {returns} on some paths and nothing on others"
        source.refuse(source.tree, reason, "a return on every path")
    refuse_unassigned(function)
    if is_process:
        function.frames = Frames(source, parameters, tuple(_points(around, function)))
    return function


@functools.cache
def local_names(tree: ast.FunctionDef) -> frozenset[str]:
    """The names that a function binds: its parameters and what it assigns."""
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(bound | {argument.arg for argument in tree.args.args})


def _parameters(r: Reader, arguments: Sequence[Kind]) -> dict[str, Kind]:
    tree, of = r.source.tree, r.source.tree.args
    names = [argument.arg for argument in of.args]
    if of.vararg or of.kwarg or of.kwonlyargs or of.defaults or of.posonlyargs:
        r.refuse(tree, "only plain parameters are in the language", "def name(m, a, b)")
    if len(names) != len(arguments):
        r.refuse(tree, f"{r.source.name} takes {len(names)} arguments and is called with {len(arguments)}")
    kinds = {}
    for name, given in zip(names, arguments, strict=True):
        kind = declared(r, tree, r.annotations[name]) if name in r.annotations else stored(given)
        if not _accepts(kind, given):
            r.refuse(tree, f"parameter {name} is {kind} and is given {given}", "an argument of that type")
        kinds[name] = kind
    return kinds


def _accepts(kind: Kind, given: Kind) -> bool:
    """Whether a parameter may be given such an argument; whether the argument fits is for the caller."""
    if isinstance(given, Num):
        return kind == given or isinstance(kind, Num) or is_index(kind)
    return kind == given or (isinstance(kind, Num) and isinstance(given, Of) and not is_index(given))


def _points(around: Around, function: Function) -> list[Point]:
    """The yields of a process, each with the locals that are live there."""
    return [_point(around, function, pause) for pause in function.pauses]


def _point(around: Around, function: Function, pause: Pause) -> Point:
    offset, saved = 1, []
    for name in sorted(flow(function).live_at(pause)):
        kind = function.kinds[name]
        if isinstance(kind, Ref) and kind.to is around.world:
            continue
        if isinstance(kind, Num) and kind.bits_of and not kind.packed:
            reason = f"{name} holds the bits of a {kind.bits_of} across a yield"
            refuse_at(function.source, pause, reason, f"annotate it with the packed type or use {kind.bits_of}(...)")
        width = around.reference_bits if isinstance(kind, Ref) else bits(kind)
        saved.append(Saved(name, kind, offset, width))
        offset += width // 8
    inner = pause.callee.frames if isinstance(pause, Invoke) else None
    return Point(pause.number, pause.at.line, pause.at.column, tuple(saved), offset, inner)
