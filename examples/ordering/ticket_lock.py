"""A ticket lock. An unlock is a plain store on x86; a ticket that is read and then written is given out twice."""

from septum.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Ghost,
    Model,
    Property,
    Scenario,
    Size,
    Struct,
    atomic_fetch_add,
    atomic_t,
    boolean,
    call,
    process,
    u8,
    when,
)  # fmt: skip

ATOMIC = Size("ATOMIC", 1)


class Where(Ghost):
    """What the property looks at, and no memory: which CPU holds the lock at this moment."""

    inside: boolean[2]


class World(Struct):
    next: atomic_t
    owner: u8
    where: Where


@process
def critical_section(m: World, me: u8):
    if ATOMIC:
        ticket = atomic_fetch_add(1, m.next)
    else:
        ticket = READ_ONCE(m.next.counter)
        yield
        WRITE_ONCE(m.next.counter, ticket + 1)
    yield when(lambda: m.owner == ticket)
    m.where.inside[me] = True
    yield
    m.where.inside[me] = False
    WRITE_ONCE(m.owner, u8(ticket + 1))


def exclusive(m: World):
    assert not (m.where.inside[0] and m.where.inside[1]), "exclusion: both CPUs hold the lock"


def start(setup):
    for cpu in range(2):
        setup.thread(f"CPU {cpu}", call(critical_section, cpu))


right = Scenario("right", "The ticket is taken by one locked instruction", start)
wrong = Scenario("wrong", "It is read, and then written", start, (), {ATOMIC: 0})
model = Model("ticket_lock", World, (right, wrong), (Property("exclusion", "one CPU at a time holds the lock", exclusive),))
