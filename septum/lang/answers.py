"""What is found under a scope stands for every scope that gives the same answers, of sizes and of names of the model.

While something is found out, each question is kept with its answer. Under another scope the same questions are asked again, in
their order: up to the first answer that is not the same, they are those that finding it anew would ask.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from septum.lang.errors import SeptumError

Found = TypeVar("Found")


@dataclass(frozen=True)
class Answer:
    """What was answered, and who answers it again, asked with these arguments."""

    ask: Callable[..., object]
    arguments: tuple[Any, ...]
    answer: object


class Answers(dict[object, "Answer | Answers"]):
    """By what was asked for, in that order; among them the answers to all that something was found by that was needed."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


_asking: list[Answers] = []
so_far: list[dict[object, object]] = [{}]
"""The answers so far under each scope that is active, which stay as long as it is; of Answers, whether they are given."""


def answered(key: object, ask: Callable[..., object], arguments: tuple[Any, ...], answer: object) -> None:
    """Said by who gave an answer; `ask`, with these arguments, gives it again."""
    if _asking:
        so_far[-1][key] = answer
        if key not in _asking[-1]:
            _asking[-1][key] = Answer(ask, arguments, answer)


def question(ask: Callable[..., Found]) -> Callable[..., Found]:
    """Of a function that asks: that its own answer is what counts, and not those that it goes by. Its arguments are hashable."""

    @functools.wraps(ask)
    def asked(*arguments: Any) -> Found:
        if not _asking:
            return ask(*arguments)
        key = ask, *arguments
        if key not in so_far[-1]:
            with _Apart():
                so_far[-1][key] = ask(*arguments)
        answered(key, asked, arguments, so_far[-1][key])
        return so_far[-1][key]  # type: ignore[return-value]

    return asked


class _Apart:
    """The answers that are given inside, which are nobody else's."""

    def __enter__(self) -> Answers:
        _asking.append(Answers())
        return _asking[-1]

    def __exit__(self, *_: object) -> None:
        _asking.pop()


class FoundAgain(Generic[Found]):
    """What was found so far, each under its answers; who asks around it has asked for these, too."""

    def __init__(self) -> None:
        self._found: list[tuple[Answers, Found]] = []

    def get(self, find: Callable[[], Found]) -> Found:
        """What stands for the current scope, found anew where nothing does."""
        known = next((one for one in self._found if _are_given(one[0])), None)
        if known is None:
            with _Apart() as given:
                known = given, find()
            self._found.append(known)
            so_far[-1][given] = True
        answers, found = known
        if _asking and answers:
            _asking[-1].setdefault(answers, answers)
        return found


def _are_given(answers: Answers) -> bool:
    """Whether the current scope answers like this."""
    known = so_far[-1]
    if answers not in known:
        known[answers] = all(_is_given(key, answer) for key, answer in answers.items())
    return bool(known[answers])


def _is_given(key: object, answer: Answer | Answers) -> bool:
    if isinstance(answer, Answers):
        return _are_given(answer)
    known = so_far[-1]
    if key not in known:
        try:
            with _Apart():
                known[key] = answer.ask(*answer.arguments)
        except (AttributeError, SeptumError):  # who finds it anew meets the same, and says where
            return False
    one = known[key]
    return one is answer.answer or (type(one) is type(answer.answer) and one == answer.answer)
