"""A local that may be read before anything was assigned to it is refused, with its line, whichever way leads there."""

from __future__ import annotations

import pytest

from septum.lang import LanguageError

REFUSED = {
    "one branch": "if m.flag:\n        x = m.n\n    m.n = x",
    "one branch, and a step between": "if m.flag:\n        x = m.n\n    yield\n    m.n = x",
    "a loop that may not run": "while m.flag:\n        m.flag = False\n        x = m.n\n    m.n = x",
    "an augmented assignment": "if m.flag:\n        x = 0\n    x += 1\n    m.n = u8(x)",
    "the condition of a yield": "if m.flag:\n        x = m.n\n    yield when(lambda: m.n == x)",
    "a message": "if m.flag:\n        x = m.n\n    assert m.n, f'{x} is shown'",
    "a message of the kernel": "if m.flag:\n        x = m.n\n    bug_on(m.n == 1, f'{x} is shown')",
    "an index": "if m.flag:\n        x = 1\n    m.small[x] = 0",
}
RIGHT = {
    "a message that names what it shows": "x = 1\n    assert m.n, f'{[x for x in (1, 2)]}'",
    "both branches": "if m.flag:\n        x = m.n\n    else:\n        x = 1\n    m.n = x",
    "the other branch returns": "if not m.flag:\n        return\n    else:\n        x = m.n\n    m.n = x",
    "a loop left with it": "while True:\n        x = m.n\n        if m.flag:\n            break\n        yield\n    m.n = x",
    "a loop with constant bounds": "for i in range(2):\n        x = m.small[i]\n    m.n = x",
}
PROCESS = "@process\ndef p(m: World):\n    yield\n    {}\n    yield\n"


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_a_path_without_an_assignment_is_refused(program, body):
    with pytest.raises(LanguageError, match="x may be read before it is assigned") as refused:
        program(PROCESS.format(body))
    assert "x" in refused.value.text and refused.value.line > 0


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_an_assignment_on_every_path_is_enough(program, body):
    program(PROCESS.format(body))
