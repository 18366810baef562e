"""The reference: every final state of straight-line threads, found by trying whatever may come next; and random such threads."""

from __future__ import annotations

from random import Random
from typing import Any

Op = list[Any]
State = tuple[tuple[int, ...], tuple[tuple[str, int], ...], tuple[tuple[str, int], ...], tuple[tuple[tuple[str, int], ...], ...]]


def finals(init: dict[str, int], threads: list[list[Op]], tso: bool) -> set[tuple[tuple[str, int], ...]]:
    """All final values of registers, as "thread:name", and places."""
    found, seen = set(), set()
    todo: list[State] = [((0,) * len(threads), tuple(sorted(init.items())), (), ((),) * len(threads))]
    while todo:
        state = todo.pop()
        if state in seen:
            continue
        seen.add(state)
        following = [after for thread in range(len(threads)) for after in moves(state, thread, threads[thread], tso)]
        todo += following
        if not following:
            found.add(tuple(sorted(state[1] + state[2])))
    return found


def moves(state: State, thread: int, ops: list[Op], tso: bool) -> list[State]:
    """What a thread, or the memory for it, may do next."""
    at, memory, registers, buffers = state
    made = []
    if buffers[thread]:
        (place, value), *rest = buffers[thread]
        made.append((at, put(memory, place, value), registers, changed(buffers, thread, tuple(rest))))
    if at[thread] == len(ops):
        return made
    kind, *given = ops[at[thread]]
    after, buffer, known = changed(at, thread, at[thread] + 1), buffers[thread], dict(registers)
    if kind in ("xchg", "cmpxchg", "lock_add", "lock_or", "mfence") and buffer:
        return made
    if kind in ("store", "store_reg"):
        value = given[1] if kind == "store" else known[f"{thread}:{given[1]}"] + given[2]
        if tso:
            return [*made, (after, memory, registers, changed(buffers, thread, (*buffer, (given[0], value))))]
        return [*made, (after, put(memory, given[0], value), registers, buffers)]
    if kind in ("mfence", "sfence", "lfence"):
        return [*made, (after, memory, registers, buffers)]
    was = dict(memory)[given[0]]
    if kind == "load":
        own = [value for place, value in buffer if place == given[0]]
        return [*made, (after, memory, put(registers, f"{thread}:{given[1]}", own[-1] if own else was), buffers)]
    if kind in ("xchg", "cmpxchg"):
        registers = put(registers, f"{thread}:{given[-1]}", was)
        new = given[1] if kind == "xchg" else given[2] if was == given[1] else was
    else:
        new = was + given[1] if kind == "lock_add" else was | given[1]
    return [*made, (after, put(memory, given[0], new), registers, buffers)]


def put(of: tuple[tuple[str, int], ...], name: str, value: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted({**dict(of), name: value}.items()))


def changed(of: tuple[Any, ...], number: int, value: Any) -> tuple[Any, ...]:
    return (*of[:number], value, *of[number + 1 :])


def program(dice: Random) -> tuple[dict[str, int], list[list[Op]]]:
    """First values, and 2 to 4 threads of a few operations on a few places."""
    places = ["x", "y", "z"][: dice.choice([1, 2, 2, 2, 3])]
    count = dice.choice([2, 2, 2, 3, 3, 4])
    longest = {2: 5, 3: 3, 4: 2}[count]
    return {place: dice.randrange(2) for place in places}, [
        thread_of(dice, places, dice.randint(1, longest)) for _ in range(count)
    ]


def thread_of(dice: Random, places: list[str], length: int) -> list[Op]:
    ops: list[Op] = []
    for number in range(length):
        place, value, name = dice.choice(places), dice.randint(1, 3), f"r{number}"
        read = [op[-1] for op in ops if op[0] in ("load", "xchg", "cmpxchg")]
        new: list[Op] = [
            ["store", place, value], ["store", place, value], ["load", place, name], ["load", place, name],
            dice.choice([["mfence"], ["sfence"], ["lfence"]]),
            dice.choice([["xchg", place, value, name], ["cmpxchg", place, dice.randrange(3), value, name]]),
            dice.choice([["lock_add", place, value], ["lock_or", place, value]]),
        ]  # fmt: skip
        new += [["store_reg", place, dice.choice(read), 1]] if read else []
        ops.append(dice.choice(new))
    return ops
