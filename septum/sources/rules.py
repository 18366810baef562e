"""What a parser of C without a preprocessor misreads, put so that it reads it right. Lines stay; nothing here is hashed.

Each rule takes tokens and gives tokens:

* conditionals: of `#if`, all branches where each is whole in itself, or else the first;
* attributes: `struct __packed s`, `int __init f(void)`, `f(void) __must_hold(&lock)`, which would be the names of something;
* statements: a macro that loops, `for_each_x(...) { }`, or that stands for a statement, gets a semicolon behind it;
* values: `asm` and what is made of types and members alone, `offsetof(struct s, a[0])`, call nothing;
* types: `container_of(p, struct s, member)`, since an argument is no type in C;
* ranges: `case 1 ... 3` and `[1 ... 3] =` keep the lower end.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from septum.sources.tokens import Token, words


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, frozenset(")]}")

KEYWORDS = word_set(
    "if else for while do switch case default return goto break continue sizeof typeof __typeof__ typeof_unqual alignof _Alignof"
    " asm __asm__ __asm asm_inline volatile __volatile__ struct union enum static const inline _Generic __attribute__"
    " extern register typedef"
)

ATTRIBUTES = re.compile(
    r"__(?:packed|aligned|always_inline|attribute(?:__)?|init|exit|initdata|initconst|ref|refdata|user|rcu|percpu|iomem|force|kernel"
    r"|must_hold(?:_shared)?|must_check|acquires(?:_shared)?|releases(?:_shared)?|acquire|release|cond_acquires|printf|scanf"
    r"|used|unused|maybe_unused|always_unused|noreturn|noclone|cold|hot|pure|weak|malloc|free|cleanup|section|visible|assume_aligned"
    r"|counted_by|guarded_by|pt_guarded_by|read_mostly|ro_after_init|cpuidle|no_sanitize\w*|no_kcsan|no_kasan\w*|nocfi|randomize_layout"
    r"|designated_init|flatten|nonstring|alloc_size|deprecated|mode|fallthrough|no_context_analysis|context_unsafe|private"
    r"|noinstr|nocapture|bitwise|cacheline_aligned(?:_in_smp)?|latent_entropy|bpf_kfunc|bpf_call|noendbr|no_stack_protector"
    r"|signed|extension__|inline|hyp_text|nostackprotector|cacheline_group_\w+|net_init|net_exit|capability|nonnull)"
    r"|no_context_analysis|context_unsafe|noinline(?:_for_stack)?|notrace|noinstr|asmlinkage|randomized_struct_fields\w*|____cacheline_aligned\w*"
)
"""Words behind which the parser would look for the name of a type or a function; some take arguments."""

_ASSEMBLY = word_set("asm __asm__ __asm asm_inline")
_OF_TYPES = word_set("offsetof offsetofend __alignof__ _Alignof alignof sizeof_field typeof_member __builtin_offsetof")
TYPE_WORDS = word_set("struct union enum const unsigned signed int long short char void bool _Bool float double volatile")


@dataclass
class _Conditional:
    """An `#if` that is open: its branches so far, and whether the first is `#if 0`."""

    never: bool
    branches: list[list[Token]] = field(default_factory=lambda: [[]])


def conditionals(found: Sequence[Token], first: bool = False) -> list[Token]:
    """Without directives. Of each `#if` every branch, if brackets balance in each; else, or if `first`, the first one."""
    open_ones = [_Conditional(False)]
    for token in found:
        if token.kind != "directive":
            open_ones[-1].branches[-1].append(token)
            continue
        said = words(token.text)[:2] or [""]
        if said[0] in ("if", "ifdef", "ifndef"):
            open_ones.append(_Conditional(said == ["if", "0"]))
        elif said[0] in ("else", "elif", "elifdef", "elifndef") and len(open_ones) > 1:
            open_ones[-1].branches.append([])
        elif said[0] == "endif" and len(open_ones) > 1:
            kept = _kept(open_ones.pop(), first)
            open_ones[-1].branches[-1] += kept
    while len(open_ones) > 1:  # a part of a file: what began above it or goes on below it
        kept = _kept(open_ones.pop(), first)
        open_ones[-1].branches[-1] += kept
    return [token for branch in open_ones[0].branches for token in branch]


def _kept(conditional: _Conditional, first: bool) -> list[Token]:
    branches = conditional.branches[1:] if conditional.never else conditional.branches
    if len(branches) > 1 and (first or any(unbalanced(branch) for branch in branches)):
        branches = branches[:1]
    return [token for branch in branches for token in branch]


def unbalanced(found: Sequence[Token]) -> bool:
    """Whether brackets are left open, or closed that were not opened."""
    depth = 0
    for token in found:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if depth < 0:
            return True
    return depth != 0


def closing(found: Sequence[Token], start: int) -> int:
    """Where the bracket that opens at `start` is closed, or the last token."""
    depth = 0
    for number in range(start, len(found)):
        text = found[number].text
        depth += (text in OPENING) - (text in CLOSING)
        if depth == 0:
            return number
    return len(found) - 1


def end_of_argument(found: Sequence[Token], start: int) -> int:
    """The comma or bracket behind the argument that begins there, or the end."""
    depth = 0
    for number in range(start, len(found)):
        text = found[number].text
        if depth == 0 and (text == "," or text in CLOSING):
            return number
        depth += (text in OPENING) - (text in CLOSING)
    return len(found)


@functools.cache
def is_attribute(name: str) -> bool:
    """Whether a name is one of the attributes."""
    return ATTRIBUTES.fullmatch(name) is not None


def attributes(found: Sequence[Token]) -> list[Token]:
    """Without attributes and their arguments. A lone `fallthrough;` is a statement without effect and stays."""
    kept: list[Token] = []
    number = 0
    while number < len(found):
        token = found[number]
        if token.kind == "name" and is_attribute(token.text):
            after = found[number + 1].text if number + 1 < len(found) else ""
            number = closing(found, number + 1) if after == "(" else number
        else:
            kept.append(token)
        number += 1
    return kept


def statements(found: Sequence[Token]) -> list[Token]:
    """With a semicolon behind every `name(...)` that begins a statement and is followed by another, or by a block."""
    kept: list[Token] = []
    brackets: list[tuple[str, bool]] = []
    for number, token in enumerate(found):
        kept.append(token)
        if token.text in OPENING:
            before = found[number - 1] if number else None
            called = token.text == "(" and before is not None and before.kind == "name" and before.text not in KEYWORDS
            brackets.append((token.text, called and _begins(found, number - 1)))
        elif token.text in CLOSING and brackets:
            _, statement = brackets.pop()
            after = found[number + 1] if number + 1 < len(found) else None
            inside = bool(brackets) and brackets[-1][0] == "{"
            void = [one.text for one in found[number + 1 : number + 4]] == ["(", "void", ")"]
            if statement and inside and after is not None and (after.kind == "name" or after.text == "{" or void):
                kept.append(Token(";", token.line, "sign"))
    return kept


def _begins(found: Sequence[Token], number: int) -> bool:
    """Whether a statement begins with this name."""
    before = found[number - 1].text if number else "{"
    return before in ("{", "}", ";", ":", ")", "else", "do")


def values(found: Sequence[Token]) -> list[Token]:
    """With 0 for what calls nothing and is no expression of C: assembly, and words like offsetof."""
    kept: list[Token] = []
    number = 0
    while number < len(found):
        token = found[number]
        if token.text in _ASSEMBLY or token.text in _OF_TYPES:
            start = number + 1
            while start < len(found) and found[start].text in ("volatile", "__volatile__", "goto", "inline"):
                start += 1
            if start < len(found) and found[start].text == "(":
                kept.append(Token("0", token.line, "number"))
                number = closing(found, start) + 1
                continue
        kept.append(token)
        number += 1
    return kept


def types(found: Sequence[Token]) -> list[Token]:
    """With one name for each type that is an argument of a call."""
    kept: list[Token] = []
    brackets: list[bool] = []
    number = 0
    while number < len(found):
        token = found[number]
        before = found[number - 1] if number else None
        if brackets and brackets[-1] and before is not None and before.text in ("(", ",") and token.text in TYPE_WORDS:
            end = _end_of_type(found, number)
            if end is not None:
                kept.append(Token("type", token.line, "name"))
                number = end
                continue
        if token.text in OPENING:
            brackets.append(
                token.text == "(" and before is not None and before.kind == "name" and before.text not in KEYWORDS - {"typeof"}
            )
        elif token.text in CLOSING and brackets:
            brackets.pop()
        kept.append(token)
        number += 1
    return kept


def _end_of_type(found: Sequence[Token], start: int) -> int | None:
    """Behind the type that begins there, if it is a whole argument."""
    for number in range(start, len(found)):
        token = found[number]
        if token.text in (",", ")"):
            return number
        if token.kind != "name" and token.text != "*":
            return None
    return None


def ranges(found: Sequence[Token]) -> list[Token]:
    """Without the upper ends of ranges."""
    kept: list[Token] = []
    skipping = False
    for number, token in enumerate(found):
        if token.text == "..." and number and found[number - 1].text not in ("(", ","):
            skipping = True
        elif token.text in (":", "]"):
            skipping = False
        if not skipping:
            kept.append(token)
    return kept


RULES: tuple[Callable[[Sequence[Token]], list[Token]], ...] = (values, statements, types, ranges)
"""Those for the body of a function; conditionals and attributes are read before a file is split into functions."""


def rewritten(found: Sequence[Token]) -> list[Token]:
    """The body of a function as the parser reads it right."""
    for rule in RULES:
        found = rule(found)
    return list(found)


def laid_out(found: Sequence[Token]) -> str:
    """The text of tokens, each in its line."""
    parts: list[str] = []
    line = found[0].line if found else 1
    for token in found:
        if token.line > line:
            parts.append("\n" * (token.line - line))
            line = token.line
        text = token.text
        parts.append(text.replace("\\\n", "").replace("\n", " ") if "\n" in text else text)
    return " ".join(parts)
