"""A loop over values that are alike may not depend on their order; where its text does not show that, it is taken to."""

from __future__ import annotations

import ast
import textwrap

import pytest

from septum.reduce.order import depends_on_order

ANY_ORDER = {
    "an assertion about each": "assert m.vcpu[v].n == 0",
    "a place of its own": "m.vcpu[v].kicked = True",
    "a place of its own, by another name": "vcpu = m.vcpu[v]\nvcpu.kicked = m.flag",
    "a count": "found += 1",
    "a count that is narrowed": "found = u16(found + m.vcpu[v].n + 1)",
    "a set": "m.waiting |= only(v)",
    "one constant": "if m.vcpu[v].n == 1:\n    found = True",
    "one answer": "if m.vcpu[v].n == 1:\n    return True",
    "a loop inside": "for i in range(3):\n    page = m.vcpu[v].page[i]\n    assert page != 0",
}
SOME_ORDER = {
    "the last one": "chosen = v",
    "the last one in the state": "m.chief = v",
    "what the last one has": "n = m.vcpu[v].n",
    "leaving early": "if m.vcpu[v].n == 1:\n    break",
    "one of two answers": "if m.vcpu[v].n == 1:\n    return True\nreturn False",
    "one of two constants": "if m.vcpu[v].n == 1:\n    found = 1\nelse:\n    found = 2",
    "a count that is looked at": "found += 1\nif found == 2:\n    m.vcpu[v].n = 1",
    "a count that goes elsewhere": "found += 1\nm.vcpu[v].n = found",
    "a place of all that is looked at": "if m.n == 0:\n    m.n = 1\n    m.vcpu[v].n = 1",
    "doubling": "found = found * 2 + m.vcpu[v].n",
    "a count and a mask": "found = (found & m.vcpu[v].n) + 1",
    "a yield": "yield",
    "what another has": "if m.vcpu[m.chief].n == 0:\n    m.vcpu[v].n = 1",
    "what another has in an array": "if m.own[me] == 0:\n    m.own[v] = 1",
    "a place named by what it holds": "page = m.vcpu[v].page\nm.frame[page].n = m.vcpu[v].n",
    "a while loop": "while m.vcpu[v].n != 0:\n    m.vcpu[v].n = 0",
}


def depends(body, calls=False, changes=False):
    text = "def f(m):\n    found = 0\n    n = 0\n    chosen = 0\n    for v in each(Vcpu):\n" + textwrap.indent(body, " " * 8)
    function = ast.parse(text + "\n    return found + n + chosen\n").body[0]
    assert isinstance(function, ast.FunctionDef)
    loop = next(node for node in function.body if isinstance(node, ast.For))
    return depends_on_order(loop, function, calls, changes)


@pytest.mark.parametrize("body", ANY_ORDER.values(), ids=ANY_ORDER)
def test_does_not_depend_on_the_order(body):
    assert not depends(body)


@pytest.mark.parametrize("body", SOME_ORDER.values(), ids=SOME_ORDER)
def test_may_depend_on_the_order(body):
    assert depends(body)


def test_a_call_that_changes_the_state_may():
    assert depends("f(m, v)", calls=True, changes=True)


def test_a_call_that_reads_matters_only_where_the_loop_writes_the_state():
    assert not depends("if idle(m, v):\n    found += 1", calls=True)
    assert depends("if idle(m, v):\n    m.vcpu[v].n = 1", calls=True)
