"""Random schedules of a scenario in plain Python: no translation, no reduction, every state property after every step."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from septum.lang import Model, Scenario, Setup, Witness, scope
from septum.lang.processes import Choose, When, running
from septum.lang.struct import allocate, realise


class Stuck(Exception):
    """No thread but a daemon can go on."""


@dataclass
class Run:
    """What a random schedule came to."""

    steps: int = 0
    reached: set[Witness] = field(default_factory=set)
    m: object = None


def bindings_of(model: Model, scenario: Scenario) -> dict[object, object]:
    return {**model.bindings, **scenario.bindings}


def random_run(model: Model, scenario: Scenario, seed: int, limit: int = 20_000, check_every: int = 1) -> Run:
    """One random schedule to its end; raises the violation it meets."""
    chance = random.Random(seed)
    with scope(bindings_of(model, scenario)):
        m, _ = allocate(realise(model.world, {}))
        setup = Setup(m)
        scenario.start(setup)
        threads = [_program(m, thread) for thread in setup.threads]
        requests: list[object] = [None] * len(threads)
        ended = [False] * len(threads)
        run = Run(m=m)
        while not all(end or thread.daemon for end, thread in zip(ended, setup.threads, strict=True)):
            ready = []
            for i in range(len(threads)):
                running.thread = i
                if not ended[i] and (not isinstance(requests[i], When) or requests[i].condition()):
                    ready.append(i)
            if not any(not setup.threads[i].daemon for i in ready) and not ready:
                raise Stuck([(t.gi_frame and t.gi_frame.f_lineno) for t in threads])
            i = chance.choice(ready)
            running.thread, running.reached = i, set()
            send = chance.randrange(int(requests[i].count())) if isinstance(requests[i], Choose) else None
            try:
                requests[i] = threads[i].send(send)
            except StopIteration:
                ended[i] = True
            run.reached |= running.reached
            run.steps += 1
            if run.steps % check_every == 0:
                for one in model.properties:
                    if one.check and not one.at_rest:
                        one.check(m)
            assert run.steps < limit, "no end"
        for one in model.properties:
            if one.check:
                one.check(m)
        return run


def _program(m, thread):
    for call in thread.calls:
        yield from call.process(m, *call.arguments)
