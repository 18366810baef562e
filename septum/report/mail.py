"""Verdicts as a reply on a mailing list quotes them: at most 72 columns, with what was checked and how to check it again."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from septum.check.result import Result, Verdict
from septum.report.diagram import command
from septum.report.numbers import duration

WIDTH = 72
SCOPE = ("VMS", "VCPUS", "THREADS", "PAGES", "RANGES", "GFNS", "LEVELS", "ENTRIES")
"""Of KVM's machine, which has many more, these sizes are said; of a model of one's own, all."""


@dataclass(frozen=True)
class Judged:
    """A result and, property by property, what became of each: "holds", "violated", or why it is not known."""

    result: Result
    properties: dict[str, str]


def render(
    judged: Sequence[Judged],
    *,
    septum: str,
    model: str,
    designs: dict[str, str],
    reductions: Sequence[str],
    command: Sequence[str],
) -> str:
    """The whole text. `model` and `designs` are content hashes."""
    lines = [f"septum {septum} explored every interleaving and every injected failure of these scopes."]
    parts = [wrapped(lines[0])]
    parts += ["\n".join(block(one)) for one in judged]
    versions = [f"model {model}", *(f"{design} {digest}" for design, digest in designs.items())]
    parts.append(wrapped(f"Versions (content hashes): {', '.join(versions)}."))
    parts.append(wrapped(f"Reductions: {', '.join(sorted(reductions)) or 'none'}."))
    chance = sum(one.result.collision for one in judged)
    if chance:
        parts.append(wrapped(f"The chance that a collision of fingerprints hid a state is at most {chance:.0e}."))
    parts.append("\n".join(["To reproduce:", *commanded(command)]))
    return "\n\n".join(parts) + "\n"


def block(one: Judged) -> Iterator[str]:
    """One design in one scenario."""
    result = one.result
    yield f"{result.design}, {result.scenario}: {result.verdict}"
    if result.verdict is Verdict.NOT_APPLICABLE:
        yield wrapped(result.reason, 1)
        return
    names = SCOPE if set(SCOPE) <= set(result.scope) else result.scope
    sizes = [f"{name} {result.scope[name]}" for name in names]
    if sizes:
        yield wrapped(f"scope: {', '.join(sizes)}", 1)
    yield wrapped(
        f"{result.states:,} states, {result.transitions:,} transitions, depth {result.depth}, {duration(result.seconds)}", 1
    )
    for name, what in one.properties.items():
        yield wrapped(f"{name}: {what}", 1)
    reached = [name for name, was in result.witnesses.items() if was]
    missed = [name for name, was in result.witnesses.items() if not was]
    if reached:
        yield wrapped(f"reached: {', '.join(reached)}", 1)
    if missed:
        when = "not reached before it failed" if result.verdict is Verdict.VIOLATED else "never reached"
        yield wrapped(f"{when}: {', '.join(missed)}", 1)
    if result.reason:
        yield wrapped(f"not explored to the end: {result.reason}", 1)
    for excepted in result.excepted:
        yield wrapped(f"set aside: {excepted.clause}: {'failed' if excepted.failed else 'never failed'}", 1)
    for found in result.each():
        if found.counterexample:
            yield from commanded([*shlex.split(command(found, found.counterexample)), "--race"], 1)


def wrapped(text: str, depth: int = 0) -> str:
    indent = "  " * depth
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False, break_long_words=False
    )


def commanded(words: Sequence[str], depth: int = 1) -> Iterator[str]:
    """A command in lines that a shell joins again."""
    indent = "  " * depth
    line = indent
    for number, word in enumerate(map(shlex.quote, words)):
        last = number == len(words) - 1
        if line.strip() and len(line) + 1 + len(word) + (0 if last else 2) > WIDTH:
            yield f"{line} \\"
            line = f"{indent}  "
        line += word if not line.strip() else f" {word}"
    yield line
