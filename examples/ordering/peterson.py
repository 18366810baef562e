"""Peterson's algorithm: two CPUs take turns. Without the barrier each misses the other's flag, which waits in a store buffer."""

from septum.lang import (
    WRITE_ONCE,
    Ghost,
    Model,
    Property,
    Scenario,
    Size,
    Struct,
    boolean,
    call,
    process,
    smp_mb,
    u8,
    when,
)  # fmt: skip

BARRIER = Size("BARRIER", 1)


class Where(Ghost):
    """What the property looks at, and no memory: which CPU is inside at this moment."""

    inside: boolean[2]


class World(Struct):
    flag: boolean[2]
    turn: u8
    where: Where


@process
def enter(m: World, me: u8):
    other = u8(1 - me)
    WRITE_ONCE(m.flag[me], True)
    yield
    WRITE_ONCE(m.turn, other)
    if BARRIER:
        smp_mb()
    yield when(lambda: not m.flag[other] or m.turn == me)
    m.where.inside[me] = True
    yield
    m.where.inside[me] = False
    WRITE_ONCE(m.flag[me], False)


def exclusive(m: World):
    assert not (m.where.inside[0] and m.where.inside[1]), "exclusion: both CPUs are inside"


def start(setup):
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(enter, cpu))


right = Scenario("right", "With the barrier between the stores and the load", start)
wrong = Scenario("wrong", "Without it", start, (), {BARRIER: 0})
model = Model("peterson", World, (right, wrong), (Property("exclusion", "one CPU at a time is inside", exclusive),))
