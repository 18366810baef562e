"""A seqcount: a reader tries again where the count was odd, or changed. Its barriers do nothing on x86."""

from septum.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Model,
    Property,
    Scenario,
    Size,
    Struct,
    Witness,
    call,
    process,
    reached,
    smp_rmb,
    smp_wmb,
    u8,
)  # fmt: skip

BEGINS = Size("BEGINS", 1)
again = Witness("again", "a reader tries again")


class World(Struct):
    sequence: u8
    x: u8
    y: u8


@process
def write(m: World):
    """write_seqcount_begin() to write_seqcount_end(); one writer, so that nobody else changes the count."""
    if BEGINS:
        WRITE_ONCE(m.sequence, 1)
        smp_wmb()
        yield
    WRITE_ONCE(m.x, 1)
    yield
    WRITE_ONCE(m.y, 1)
    yield
    smp_wmb()
    WRITE_ONCE(m.sequence, 2)


@process
def read(m: World):
    """read_seqcount_begin() to read_seqcount_retry(); of the second round only that it is taken."""
    before = READ_ONCE(m.sequence)
    smp_rmb()
    yield
    x = READ_ONCE(m.x)
    yield
    y = READ_ONCE(m.y)
    smp_rmb()
    yield
    after = READ_ONCE(m.sequence)
    if before & 1 != 0 or before != after:
        reached(again)
        return
    assert x == y, f"torn: x is {x}, y is {y}"


def start(setup):
    setup.thread("writer", call(write))
    setup.thread("reader", call(read))


right = Scenario("right", "The writer makes the count odd first", start, (again,))
wrong = Scenario("wrong", "The writer forgets to", start, (), {BEGINS: 0})
model = Model("seqcount", World, (right, wrong), (Property("torn", "a reader that need not try again has both of one write"),))
