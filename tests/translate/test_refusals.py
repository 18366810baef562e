"""What the subset refuses: each with the file, the line, the text, the reason, and what to write instead."""

from __future__ import annotations

import pytest

from septum.lang import LanguageError, UserError

WRONG = {
    "a list": ("x = [1]", "List is not in the language"),
    "a dictionary": ("x = {}", "Dict is not in the language"),
    "a string": ('x = "a"', "is no number"),
    "None": ("x = None", "is no number"),
    "a float": ("x = 1.5", "is no number"),
    "true division": ("m.n = m.n / 2", "the operator Div"),
    "a comprehension": ("x = sum(i for i in range(3))", "cannot be called"),
    "try": ("try:\n        m.n = 1\n    finally:\n        m.n = 2", "Try is not in the language"),
    "with": ("with m: pass", "With is not in the language"),
    "raise": ("raise ValueError", "Raise is not in the language"),
    "import": ("import os", "Import is not in the language"),
    "a nested function": ("def f(): pass", "FunctionDef is not in the language"),
    "two targets": ("a, b = 1, 2", "one target"),
    "a chained assignment": ("m.n = m.n = 1", "one target"),
    "a whole struct": ("m.page[1] = m.page[1]", "m.page[1] is a whole Page; what is assigned is a number"),
    "an unknown field": ("m.nothing = 1", "no field nothing"),
    "an unknown name": ("m.n = unheard_of", "is not defined"),
    "a read before an assignment": ("if m.flag:\n        m.n = u8(x)\n    x = 1", "read before"),
    "a constant out of range": ("m.n = 256", "does not fit"),
    "a negative constant": ("m.n = -1", "does not fit"),
    "a negative local": ("x = m.n - 1", "may become negative"),
    "an implicit narrowing": ("x: u8 = m.n + 1", "x is a number 0 .. 255 and would get a number 1 .. 256"),
    "the wrong index": ("m.page[m.n].role = 1", "is indexed by Pfn"),
    "an index type in place of another": ("v = Vcpu(1)\n    m.page[v].role = 1", "is indexed by Pfn"),
    "an order on a scalarset": ("for p in each(Pfn):\n        m.flag = p < m.page[1].next", "have no order"),
    "arithmetic on a scalarset": ("for p in each(Pfn):\n        alike('')\n        m.n = p + 1", "no arithmetic on Pfn"),
    "an order of entries": ("m.flag = m.page[1].word[0] < m.page[1].word[1]", "page number"),
    "the bits of a page in a number": (
        "for p in each(Pfn):\n        alike('')\n        m.wide = u64(p) << 12",
        "would hold the bits of a Pfn",
    ),
    "the bits of a page across a yield": (
        "for p in each(Pfn):\n        alike('')\n        x = u64(p) << 12\n        yield\n        m.page[p].word[0] = x",
        "across a yield",
    ),
    "a break in a loop over a scalarset": ("for p in each(Pfn):\n        break", "whose values have no order"),
    "a return in a loop over a scalarset": ("for p in each(Pfn):\n        return", "whose values have no order"),
    "a yield in a loop over a scalarset": ("for p in each(Pfn):\n        yield", "whose values have no order"),
    "the last of a scalarset": ("q = Pfn(0)\n    for p in each(Pfn):\n        q = p", "whose values have no order"),
    "the first of a scalarset": (
        "for p in each(Pfn):\n        if m.page[1].next == 0:\n            m.page[1].next = p",
        "whose values have no order",
    ),
    "alike without a reason": ("for p in each(Pfn):\n        alike(1)", "takes the reason"),
    "an enum compared with a number": ("m.flag = m.color == m.n", "is compared with"),
    "arithmetic on an enum": ("m.n = m.color + 1", "no arithmetic on Color"),
    "is": ("m.flag = m.n is m.n", "compares objects"),
    "in a list": ("m.flag = m.n in [1, 2]", "wants a tuple"),
    "an endless number of choices": ("x = yield choose(m.n)", "read when the step is taken"),
    "a choice among none": ("x = yield choose(0)", "a choice among none"),
    "when without a lambda": ("yield when(m.flag)", "to be read again"),
    "a yield of a number": ("yield 3", "a yield gives nothing, when"),
    "a yield in an expression": ("m.n = u8(1 + (yield))", "may not stand inside"),
    "a process called plainly": ("q(m)", "is a process"),
    "a routine called by yield from": ("yield from r(m)", "is not a process"),
    "a process in a condition": ("if (yield from q(m)): pass", "may not stand inside"),
    "a changing condition": ("yield when(lambda: change(m) == 1)", "changes the state"),
    "too many arguments": ("r(m, 1)", "takes 1 arguments"),
    "keyword arguments": ("r(m=m)", "keyword"),
    "print": ("n = print(m.n)", "cannot be called"),
    "recursion": ("m.n = again(m, 1)", "calls itself"),
    "two changes in one expression": ("m.n = u8(change(m) + change(m))", "changes the state"),
    "a loop variable that is assigned": ("for i in range(3):\n        i = 2", "is assigned in the body"),
    "a loop over an array": ("for x in m.small: pass", "a loop runs over"),
    "a yield in a loop without constant bounds": ("for i in range(m.n):\n        yield", "not constant"),
    "else after a loop": ("while m.flag:\n        m.flag = False\n    else:\n        pass", "else after a loop"),
    "two types on two paths": ("x = mixed(m)", "one type"),
    "an expression without effect": ("m.n", "does nothing"),
    "a lambda": ("f = lambda: 1", "a lambda may stand only"),
    "an f-string as a value": ('x = f"{m.n}"', "text is no value"),
    "del": ("x = 1\n    del x", "Delete is not in the language"),
    "global": ("global z", "Global is not in the language"),
    "a result that there is not": ("x = nothing(m)", "without a result"),
    "a missing result": ("x = sometimes(m)", "nothing on others"),
    "division by zero": ("m.n = 1 // 0", "division by zero"),
    "a constant index out of bounds": ("m.small[3] = 1", "is outside of"),
}

AROUND = """
    @process
    def p(m: World):
        {body}
        yield

    @process
    def q(m):
        yield
        return 1

    def r(m):
        return 1

    def change(m):
        m.n = 1
        return m.n

    def again(m, n):
        return again(m, n)

    def mixed(m):
        if m.flag:
            return 1
        return Color.RED

    def nothing(m):
        m.n = 0

    def sometimes(m):
        if m.flag:
            return 1
"""


@pytest.mark.parametrize("name", WRONG)
def test_is_refused_with_place_and_reason(program, name):
    body, reason = WRONG[name]
    with pytest.raises(LanguageError) as refused:
        program(AROUND.format(body=body.replace("\n", "\n    ")))
    assert reason in str(refused.value)
    assert refused.value.line > 0
    assert refused.value.text and refused.value.text in (AROUND.format(body=body)) + "".join(
        line.strip() for line in AROUND.splitlines()
    )


def test_a_yield_in_a_routine_is_refused(program):
    with pytest.raises(LanguageError, match="a yield in the routine r"):
        program("def r(m):\n    yield\n\n@process\ndef p(m: World):\n    r(m)\n    yield\n")


def test_a_process_without_a_yield_is_refused(program):
    with pytest.raises(LanguageError, match="has no yield"):
        program("@process\ndef q(m):\n    m.n = 1\n\n@process\ndef p(m: World):\n    yield from q(m)\n    yield\n")


def test_a_property_that_changes_the_state_is_refused(program):
    with pytest.raises(LanguageError, match="only reads"):
        program("@process\ndef p(m: World):\n    yield\n\ndef property_bad(m):\n    m.n = 1\n")


def test_a_field_of_no_type_is_refused(program):
    with pytest.raises(UserError, match="no type of the language"):
        program("class Bad(Struct):\n    x: str\n\nclass World(Struct):\n    bad: Bad\n\n@process\ndef p(m: World):\n    yield\n")


def test_an_entry_process_says_its_types(program):
    with pytest.raises(LanguageError, match="says the types"):
        program("@process\ndef p(m: World, n):\n    yield\n", 1)


DIFFERENCE = "if m.seen & only(m.who) != 0: m.seen ^= only(m.who)"
ADVICE = {
    "a number for a truth value": ("m.flag = 1", "True", "m.flag = True"),
    "no number for a truth value": ("m.flag = 0 * 1", "False", "m.flag = False"),
    "a count for a truth value": ("m.flag = m.n + 1", "m.n + 1 != 0", "m.flag = m.n + 1 != 0"),
    "a number for an enum": ("m.color = m.n", "Color(m.n)", "m.color = Color(m.n)"),
    "a power": ("m.n = 2 ** 3", "1 << n for a power of 2", "m.n = 1 << 3"),
    "what when() gives": (
        "x = yield when(lambda: m.n == 0)",
        "yield when(lambda: m.n == 0) alone",
        "yield when(lambda: m.n == 0)",
    ),
    "what when() gives, for a field": (
        "m.flag = yield when(lambda: m.n == 0)",
        "yield when(lambda: m.n == 0) alone",
        "yield when(lambda: m.n == 0)",
    ),
    "what a yield gives": ("x = yield", "x = yield choose(n)", "x = yield choose(2)"),
    "a method": ("m.nothing()", "nothing(m)", "nothing(m)"),
    "a method with arguments": ("m.page[1].sets(3)", "sets(m.page[1], 3)", "sets(m.page[1], 3)"),
    "a whole struct": ("m.page[1] = m.page[0]", "m.page[1].role = ...", "m.page[1].role = m.page[0].role"),
    "a whole array": ("m.page[1].word = m.page[0].word", "m.page[1].word[0] = ...", "m.page[1].word[0] = m.page[0].word[0]"),
    "a set without a value": (
        "m.seen = m.seen & ~only(m.who)",
        "if m.seen & only(m.who) != 0: m.seen ^= only(m.who)",
        DIFFERENCE,
    ),
    "a set minus a set": ("m.seen = m.seen - only(m.who)", "if m.seen & only(m.who) != 0: m.seen ^= only(m.who)", DIFFERENCE),
    "a set minus another": ("m.seen = m.seen & ~m.other", "m.seen & (m.seen ^ m.other)", "m.seen = m.seen & (m.seen ^ m.other)"),
    "a set for a truth value": ("m.flag = m.seen", "m.seen != 0", "m.flag = m.seen != 0"),
    "a value into a set": ("m.seen.add(m.who)", "m.seen |= only(m.who)", "m.seen |= only(m.who)"),
    "a value out of a set": ("m.seen.discard(m.who)", "if m.seen & only(m.who) != 0: m.seen ^= only(m.who)", DIFFERENCE),
    "the values of a set": (
        "for c in m.seen: m.n = 1",
        "for c in each(Cpu), and in it if m.seen & only(c) != 0",
        "for c in each(Cpu):\n    if m.seen & only(c) != 0:\n        m.n = 1",
    ),
    "how many are in a set": ("m.n = len(m.seen)", "a loop over each(...) that counts", None),
    "a value in a set": ("m.flag = m.who in m.seen", "m.seen & only(m.who) != 0", "m.flag = m.seen & only(m.who) != 0"),
    "a value not in a set": ("m.flag = m.who not in m.seen", "m.seen & only(m.who) == 0", "m.flag = m.seen & only(m.who) == 0"),
    "a set and a number": ("m.flag = m.seen == 3", "another set, as only(x), or 0", "m.flag = m.seen == only(m.who)"),
    "a misspelt field": ("m.colour = Color.RED", "color", "m.color = Color.RED"),
    "an unknown type that is text": ('x: "u9" = 1', "u8, bool, an enum or an index type", 'x: "u8" = 1\nm.n = x'),
    "a fraction": ("m.n = 1.5", "a whole number", "m.n = 1"),
    "any()": ("m.flag = any(m.page[1].word)", "a loop over range(...)", None),
}
SETS = """
    CPUS = Size("CPUS", 3)
    Cpu = Index("Cpu", CPUS)

    class World(World):
        seen: SetOf(Cpu)
        other: SetOf(Cpu)
        who: Cpu

    def sets(page, n):
        page.role = u8(n)
"""


@pytest.mark.parametrize("name", ADVICE)
def test_what_to_write_instead_is_said_and_is_right(program, name):
    wrong, advice, right = ADVICE[name]
    with pytest.raises(LanguageError) as refused:
        program(SETS + AROUND.format(body=wrong))
    assert advice in str(refused.value).partition("write instead: ")[2]
    if right is not None:
        program(SETS + AROUND.format(body=right.replace("\n", "\n        ")))
