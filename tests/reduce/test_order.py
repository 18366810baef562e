"""A loop over values that are alike may not depend on their order; where its tree does not show that, it is taken to."""

from __future__ import annotations

import pytest

from septum.reduce.order import depends_on_order
from septum.translate.tree import For
from tests.translate.trees import function_of

WORLD = """
Vcpu = Index("Vcpu", 3, none=True)
Page = Index("Page", 4)

class OneVcpu(Struct):
    n: u8
    kicked: bool
    page: u8[3]
    slot: Page

class OneFrame(Struct):
    n: u8

class World(Struct):
    vcpu: OneVcpu[Vcpu]
    own: u8[Vcpu]
    frame: OneFrame[Page]
    waiting: SetOf(Vcpu)
    chief: Vcpu
    flag: bool
    n: u8

def idle(m, v):
    return m.vcpu[v].n == 0

def kick(m, v):
    m.vcpu[v].n = 1
"""
ANY_ORDER = {
    "an assertion about each": "assert m.vcpu[v].n == 0",
    "a place of its own": "m.vcpu[v].kicked = True",
    "a place of its own, by another name": "vcpu = m.vcpu[v]\nvcpu.kicked = m.flag",
    "a count": "found += 1",
    "a count that is narrowed": "found = u16(found + m.vcpu[v].n + 1)",
    "a set": "m.waiting |= only(v)",
    "one constant": "if m.vcpu[v].n == 1:\n    known = True",
    "one answer": "if m.vcpu[v].n == 1:\n    return u16(1)",
    "a loop inside": "for i in range(3):\n    page = m.vcpu[v].page[i]\n    assert page != 0",
    "a call that only reads": "if idle(m, v):\n    found += 1",
}
SOME_ORDER = {
    "the last one": "chosen = v",
    "the last one in the state": "m.chief = v",
    "what the last one has": "n = m.vcpu[v].n",
    "leaving early": "if m.vcpu[v].n == 1:\n    break",
    "one of two answers": "if m.vcpu[v].n == 1:\n    return u16(1)\nreturn u16(0)",
    "one of two constants": "if m.vcpu[v].n == 1:\n    found = 1\nelse:\n    found = 2",
    "a count that is looked at": "found += 1\nif found == 2:\n    m.vcpu[v].n = 1",
    "a count that goes elsewhere": "found += 1\nm.vcpu[v].n = u8(found)",
    "a place of all that is looked at": "if m.n == 0:\n    m.n = 1\n    m.vcpu[v].n = 1",
    "doubling": "found = u16(found * 2 + m.vcpu[v].n)",
    "a count and a mask": "found = u16((found & m.vcpu[v].n) + 1)",
    "a yield": "yield",
    "what another has": "if m.vcpu[m.chief].n == 0:\n    m.vcpu[v].n = 1",
    "what another has in an array": "if m.own[me] == 0:\n    m.own[v] = 1",
    "a place named by what it holds": "page = m.vcpu[v].slot\nm.frame[page].n = m.vcpu[v].n",
    "a while loop": "while m.vcpu[v].n != 0:\n    m.vcpu[v].n = 0",
    "a call that changes the state": "kick(m, v)",
    "a call that reads where the loop writes": "if idle(m, v):\n    m.vcpu[v].n = 1",
}


def depends(body):
    function = function_of(
        WORLD,
        "found = 0\nn = m.n\nchosen = Vcpu(1)\nknown = False\nme = m.chief\nfor v in each(Vcpu):\n"
        + "\n".join(f"    {line}" for line in body.splitlines())
        + "\nm.flag = known and chosen == me\nreturn u16(found + n)",
    )
    loop = next(node for node in function.body if isinstance(node, For))
    return depends_on_order(loop, function)


@pytest.mark.parametrize("body", ANY_ORDER.values(), ids=ANY_ORDER)
def test_does_not_depend_on_the_order(body):
    assert not depends(body)


@pytest.mark.parametrize("body", SOME_ORDER.values(), ids=SOME_ORDER)
def test_may_depend_on_the_order(body):
    assert depends(body)
