"""What a CPU may do just now: the spinning locks it holds, its RCU read sections, and softirq."""

from septum.host.geometry import ThreadId
from septum.lang import Ghost, Slot, current, only, u8

CPU_DESIGN = Slot("cpu.design")
SPINNING, IN_RCU, IN_SOFTIRQ = 1, 2, 4


CPU_WALK = Slot("cpu.walk")  # where the module's walks are remembered: septum/tdx/sept.py


class Cpu(Ghost):
    """The context on a CPU: depth of spinning locks, of RCU read sections and of irqsave, and whether a softirq runs."""

    spinning: u8
    rcu: u8
    softirq: bool
    irqs_off: u8
    held: u8  # the classes of locks that it holds, a bit each
    walk: CPU_WALK
    design: CPU_DESIGN


def me():
    """smp_processor_id(): a thread of a scenario has a CPU for itself."""
    return ThreadId(current())


def just_me():
    """The set of this CPU alone."""
    return only(me())


def context(m):
    """Why nothing may sleep here, for measurements: SPINNING, IN_RCU, IN_SOFTIRQ, or 0."""
    cpu = m.cpu[me()]
    return (SPINNING if cpu.spinning != 0 else 0) + (IN_RCU if cpu.rcu != 0 else 0) + (IN_SOFTIRQ if cpu.softirq else 0)


def might_sleep(m):
    """might_sleep(): asserts a context in which GFP_KERNEL allocations and mutexes are allowed."""
    cpu = m.cpu[me()]
    assert cpu.spinning == 0, "context: a call that may sleep while a spinning lock is held"
    assert cpu.rcu == 0, "context: a call that may sleep inside of an RCU read section"
    assert not cpu.softirq, "context: a call that may sleep in softirq"
