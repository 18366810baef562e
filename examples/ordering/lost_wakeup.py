"""A task that goes to sleep, and one that wakes it: set_current_state() and try_to_wake_up(), as kvm_vcpu_block() has them."""

from septum.lang import (
    READ_ONCE,
    WRITE_ONCE,
    Enum,
    Model,
    Scenario,
    Size,
    Struct,
    call,
    process,
    smp_mb,
    when,
)  # fmt: skip

BARRIER = Size("BARRIER", 1)


class State(Enum):
    RUNNING = 0
    SLEEPING = 1


class World(Struct):
    state: State
    condition: bool


@process
def sleeper(m: World):
    WRITE_ONCE(m.state, State.SLEEPING)
    if BARRIER:
        smp_mb()
    yield
    due = READ_ONCE(m.condition)
    if not due:
        yield when(lambda: m.state == State.RUNNING)


@process
def waker(m: World):
    WRITE_ONCE(m.condition, True)
    smp_mb()
    yield
    state = READ_ONCE(m.state)
    if state == State.SLEEPING:
        yield
        WRITE_ONCE(m.state, State.RUNNING)


def start(setup):
    setup.thread("sleeper", call(sleeper))
    setup.thread("waker", call(waker))


right = Scenario("right", "With smp_store_mb() of the state", start)
wrong = Scenario("wrong", "With a plain store of the state: the wakeup is lost", start, (), {BARRIER: 0})
model = Model("lost_wakeup", World, (right, wrong))
