"""One translation unit: the structs of a model, its functions, its threads, and a program that runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from septum.lang.model import Property
from septum.lang.values import Ref
from septum.translate.print_c import c_of, print_function, signature
from septum.translate.translation import Translation
from septum.translate.tree import Choose, Function, called

HERE = Path(__file__).parent

SET_ASIDE = """static void set_aside(int32_t site, uint8_t how)
{
    if (!model_supposes)
        __atomic_fetch_or(&model_covered[LINES + site], how, __ATOMIC_RELAXED);
}"""
"""Behind the lines that ran, what became of each site's failures."""

OWN_STEPS = "#define model_step own_step\n#define model_step_noted own_step_noted\n#define model_choices own_choices"
"""In front of threads.c where a thread makes other moves beside its own: those of buffered.c."""


def threads(unit: Translation, properties: Sequence[Property], *behind: str, observer: str = "") -> str:
    """The C of a model whose processes threads run, with a program `behind` that steps them; it is kept as the unit's code.

    The unit has read its entries, and judges these properties. An `observer` is told what is measured, in place of measure.c.
    """
    parts = [*_functions(unit, [*unit.entries, *unit.properties], observer), _enter(unit), _check(unit, properties)]
    steps = (HERE / "threads.c").read_text()
    if unit.stores:
        steps = "\n".join([OWN_STEPS, steps, (HERE / "buffered.c").read_text()])
    unit.code = "\n".join([*parts, steps, *behind])
    return unit.code


def library(unit: Translation, routines: Mapping[str, Callable[..., Any]], program: str) -> str:
    """The C of a program that calls routines itself, each by the name it is given here; no threads.

    A routine's parameters need annotations, but the world. It is called with the context, the world and its numbers.
    """
    roots = {name: unit.called_from_outside(function) for name, function in routines.items()}
    names = "\n".join(f"#define {name} {unit.name(function)}" for name, function in roots.items())
    unit.code = "\n".join([*_functions(unit, roots.values()), names, program])
    return unit.code


def _functions(unit: Translation, roots: Iterable[Function], observer: str = "") -> list[str]:
    """What every unit begins with: the runtime, the structs, and the functions that are called from `roots`."""
    functions = called(roots)
    texts = [print_function(unit, function) for function in functions]
    heads = [f"{signature(unit, function)} __attribute__((unused));" for function in functions]
    measure = (observer or (HERE / "measure.c").read_text()) if unit.measuring else ""
    buffers = [(HERE / "buffers.c").read_text()] if unit.stores else []
    return [(HERE / "runtime.h").read_text(), _constants(unit, functions), *unit.types, *buffers, measure, *heads, *texts]


def _constants(unit: Translation, functions: Iterable[Function]) -> str:
    choices = any(isinstance(pause, Choose) for function in functions for pause in function.pauses)
    return "\n".join([
        f"#define WORLD_SIZE {unit.world_size}ull", f"#define STATE_SIZE {unit.state_size}ull",
        f"#define FRAME_SIZE {unit.frame_size}", f"#define MAX_THREADS {unit.threads}",
        f"#define WITNESSES {len(unit.witnesses)}", f"#define LINES {len(unit.covered_lines)}",
        f"#define COVERAGE {len(unit.covered_lines) + len(unit.sites)}",
        f"#define EXPRESSIONS {len(unit.named)}",
        *(["#define MEASURING"] if unit.measuring else []),
        *([f"#define STORES {unit.stores}", f"#define BUFFERS {unit.buffers}ull"] if unit.stores else []),
        f"#define HAS_CHOICES {int(choices)}", f"static uint8_t model_ignored[{len(unit.sites) + 1}];",
        "static uint8_t model_covered[COVERAGE + 1];", SET_ASIDE,
    ])  # fmt: skip


def _enter(unit: Translation) -> str:
    cases = []
    for number, entry in enumerate(unit.entries):
        kinds = [kind for kind in entry.parameters.values() if not isinstance(kind, Ref)]
        arguments = [f"({c_of(unit, kind)})call->arguments[{i}]" for i, kind in enumerate(kinds)]
        cases.append(f"    case {number}: return {unit.name(entry)}({', '.join(['c', 'w', 'in', 'out', *arguments])});")
    head = "static int enter(context_t *c, world_t *w, const uint8_t *in, uint8_t *out, const call_t *call)"
    none = "    default: (void)c; (void)w; (void)in; (void)out; return STEP_RETURNED;"
    return "\n".join([head, "{", "    switch (call->entry) {", *cases, none, "    }", "}", ""])


def _check(unit: Translation, properties: Sequence[Property]) -> str:
    judged = [one for one in properties if one.check]
    calls = [f"    {'if (at_rest) ' if one.at_rest else ''}{unit.name(check)}(c, w);"
             for one, check in zip(judged, unit.properties, strict=True)]  # fmt: skip
    head = "static void check_properties(context_t *c, world_t *w, int at_rest)\n{\n    (void)c; (void)w; (void)at_rest;"
    return "\n".join([head, *calls, "}", ""])
