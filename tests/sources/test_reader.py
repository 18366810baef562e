"""C is read right where a parser without a preprocessor misreads it, and what cannot be read is listed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from septum.sources.reader import Contents, Function, Reader
from septum.sources.tokens import tokens
from tests.sources.small_tree import TDP_MMU


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def read(source: str) -> Contents:
    return Reader().read(source, "file.c")


def the(source: str) -> Function:
    contents = read(source)
    assert not contents.unread
    (function,) = contents.functions
    return function


def calls(body: str) -> list[str]:
    """What a function with this body calls, in order."""
    return [call.name for call in the(f"void f(void)\n{{\n{body}\n}}\n").calls]


@pytest.mark.parametrize(
    ("body", "called"),
    [
        ("for_each_entry(a, &b->list, link) { first(a); } second();", ["for_each_entry", "first", "second"]),
        ("for_each_entry(a, b) first(a); second();", ["for_each_entry", "first", "second"]),
        ("for_each_entry(a, b) if (ask(a)) first(a); else second(a);", ["for_each_entry", "ask", "first", "second"]),
        ("for_each_entry(a, b)\n(void) first(a);", ["for_each_entry", "first"]),
        ("if (x) for_each_entry(a, b) { for_each_other(c) first(c); }", ["for_each_entry", "for_each_other", "first"]),
        ("scoped_guard(mutex, &k->lock) { first(); } second();", ["scoped_guard", "first", "second"]),
        ("guard(mutex)(&k->lock); first();", ["guard(mutex)", "first"]),
    ],
)  # fmt: skip
def test_a_macro_that_loops_is_followed_by_its_body(body, called):
    assert calls(body) == called


@pytest.mark.parametrize(
    "header",
    [
        "static __always_inline int f(int a)",
        "int __init f(int a)",
        "static int f(int a) __must_hold(&a->lock)",
        "static noinline __attribute__((cold)) int f(int a)",
        "BUILD_ACCESSORS(rax, RAX)\nint f(int a)",
        "EXPORT_SYMBOL_GPL(g);\nstruct __packed s { int f; };\nint f(int __user *a)",
        "struct s { int f; } __packed __aligned(8);\nstatic int f(int a __maybe_unused)",
        "static const struct s table[] = { { .f = 1 }, [2 ... 4] = { 2 } };\nint f(int a)",
        "typedef int (*fn)(int);\nstatic DEFINE_PER_CPU(struct list_head, heads);\nint f(int a)",
    ],
)  # fmt: skip
def test_attributes_and_declarations_are_no_functions(header):
    function = the(f"{header}\n{{\n\treturn g(a);\n}}\n")
    assert (function.name, [call.name for call in function.calls]) == ("f", ["g"])


@pytest.mark.parametrize(
    ("body", "called"),
    [
        ("x = container_of(p, struct s, member); first();", ["container_of", "first"]),
        ("x = alloc_obj(struct s *); y = va_arg(p, unsigned long); first();", ["alloc_obj", "va_arg", "first"]),
        ("x = offsetof(struct s, a[0].b) + __alignof__(p->x); first();", ["first"]),
        ('asm volatile goto("1: x\\n" EXTABLE(1b, %l[out]) : : [a] "r" (ask()) : "cc" : out); first(); out: ;', ["first"]),
        ("switch (x) { case 1 ... LAST(3): first(); break; default: second(); }", ["first", "second"]),
        ("x = ({ int y = first(); second(y); });", ["first", "second"]),
        ("outer(first(), k->ops->second(third()));", ["first", "third", ".second", "outer"]),
        ("kvm_x86_call(op)(first());", ["first", "kvm_x86_call(op)"]),
        ('static DEFINE_MUTEX(lock); first("for_each(a) {", \'{\'); // second() {', ["first"]),
    ],
)  # fmt: skip
def test_what_is_no_expression_of_c_is_read_and_arguments_come_first(body, called):
    assert calls(body) == called


def test_branches_of_a_conditional_are_all_read_where_each_is_whole():
    assert calls("#ifdef A\nfirst();\n#else\nsecond();\n#endif\nthird();") == ["first", "second", "third"]
    assert calls("#if 0\nfirst();\n#else\nsecond();\n#endif") == ["second"]


def test_of_branches_that_open_one_bracket_together_the_first_is_read():
    assert calls("#ifdef A\nif (first()) {\n#else\nif (second()) {\n#endif\nthird(); }") == ["first", "third"]
    assert calls("return\n#ifdef A\nfirst()\n#else\nsecond()\n#endif\n;") == ["first"]


def test_a_function_of_either_branch_is_found():
    contents = read("#ifdef A\nint f(void)\n{\n\treturn g();\n}\n#else\nint f(void) { return 0; }\n#endif\n")
    assert [(one.name, one.line, len(one.calls)) for one in contents.functions] == [("f", 2, 1), ("f", 7, 0)]


def test_a_macro_is_a_function_with_the_calls_of_its_text():
    function = the("#define TRY(x) \\\n\tdo { first(x); if (#x) \\\n\t\tsecond(x); } while (0)\n")
    assert (function.name, function.macro, [call.name for call in function.calls]) == ("TRY", True, ["first", "second"])


def test_the_locks_of_a_function_are_told_with_their_argument_in_order():
    body = (
        "mutex_lock(&k->slots_lock); g(); guard(mutex)(&k->irq_lock); write_unlock(&k->mmu_lock); srcu_read_unlock(&k->srcu, i);"
        " scoped_guard(spinlock, &k->apic_lock) { g(); }"
    )
    function = the(f"void f(void)\n{{\n\t{body}\n}}\n")
    told = ["mutex_lock(slots_lock)", "guard(mutex)(irq_lock)", "write_unlock(mmu_lock)", "srcu_read_unlock(srcu)"]
    assert [str(call) for call in function.locks] == [*told, "scoped_guard(apic_lock)"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("switch (x) {\nCASE64(A):\n\tfirst();\n}", "stumbles in line 4"),
        ("x = SAFE(1, , 2);", "stumbles in line 3"),
        ("F(A), first(), ;", "stumbles in line 3"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_be_read_is_listed_and_the_others_are_read(body, why):
    contents = read(f"void f(void)\n{{\n{body}\n}}\nvoid g(void)\n{{\n\tfirst();\n}}\n")
    assert [(one.name, one.line) for one in contents.unread] == [("f", 1)]
    assert why in contents.unread[0].why
    assert [one.name for one in contents.functions] == ["g"]


def test_a_function_whose_brackets_come_from_macros_is_listed_and_the_next_is_read():
    closed = "void f(void)\n{\n\tBEGIN(x)\n\t}\n\tfirst();\n}\n"
    opened = "void g(void)\n{\n\tif (x) {\n\tEND\n}\n"
    contents = read(f"{closed}{opened}void h(void)\n{{\n\tlast();\n}}\n")
    assert [one.name for one in contents.unread] == ["f", "g"]
    assert [(one.name, [call.name for call in one.calls]) for one in contents.functions] == [("h", ["last"])]


def test_a_call_that_the_parser_takes_for_something_else_makes_a_function_unreadable():
    contents = read("void f(void)\n{\n\ttype (first)(x);\n\tint second(int);\n}\n")
    assert [one.why for one in contents.unread] == ["the parser misses the call of second"]


BLANKS = [" ", "\t", "\n", "/* a { comment( */", "// another }\n", "\\\n", ""]


@settings(max_examples=25, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_white_space_and_comments_do_not_count(random, reader):
    """Also where functions stand in one line."""
    spaced = "".join(
        token.text + ("\n" if token.kind == "directive" else f"{random.choice(BLANKS)} {random.choice(BLANKS)}")
        for token in tokens(TDP_MMU)
    )
    assert {one.name: one.hashes for one in reader.read(spaced, "").functions} == {
        one.name: one.hashes for one in reader.read(TDP_MMU, "").functions
    }


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_token_that_is_left_out_counts(data, reader):
    """Whatever is left out of a function, its hash is another, or it is read no more."""
    (before,) = [one for one in reader.read(TDP_MMU, "").functions if one.name == "tdp_mmu_unlink_sp"]
    found = [token for token in tokens(TDP_MMU) if before.line <= token.line <= before.last_line]
    left = data.draw(st.integers(0, len(found) - 1))
    text = " ".join(token.text for number, token in enumerate(found) if number != left)
    assert before.hashes.text not in {one.hashes.text for one in reader.read(text, "").functions}
