"""RCU: read sections, and callbacks that run in softirq when every section that was open at call_rcu() is closed."""

from septum.host.cpu import just_me, me
from septum.host.geometry import RCU_QUEUE, Cpus, Pfn, ThreadId
from septum.lang import MEASURING, Ghost, Meter, commutes, each, observe, only, smp_mb, u8

queued = Meter("queued", "a callback was queued: how many wait")


class RcuHead(Ghost):
    """A queued callback: the page it is for, and the CPUs whose read sections it waits for."""

    page: Pfn
    waiting: Cpus


class Rcu(Ghost):
    """The callbacks in order of call_rcu()."""

    queued: u8
    head: RcuHead[RCU_QUEUE]


def rcu_read_lock(m):
    """rcu_read_lock()."""
    commutes("a section that opens later lets a grace period begin sooner")
    m.cpu[me()].rcu += 1


def rcu_read_unlock(m):
    """rcu_read_unlock(): the end of the outermost section lets callbacks go on."""
    commutes("a section that closes later lets a grace period end later")
    smp_mb()  # at the latest the grace period is one for every CPU that it waits for
    m.cpu[me()].rcu -= 1
    if m.cpu[me()].rcu == 0:
        for i in range(RCU_QUEUE):
            if m.rcu.head[i].waiting & just_me() != 0:
                m.rcu.head[i].waiting ^= just_me()


def call_rcu(m, page: Pfn):
    """call_rcu(): the callback for `page` runs after a grace period."""
    commutes("queues are per CPU, and a grace period may begin later")
    assert m.rcu.queued < RCU_QUEUE, "scope: too many RCU callbacks at a time, raise RCU_QUEUE"
    head = m.rcu.head[m.rcu.queued]
    head.page = page
    waiting = Cpus(0)
    for thread in each(ThreadId):
        if m.cpu[thread].rcu != 0:
            waiting |= only(thread)
    head.waiting = waiting
    m.rcu.queued += 1
    if MEASURING:
        observe(queued, m.rcu.queued)


def callback_ready(m):
    """Whether the oldest callback may run."""
    return m.rcu.queued != 0 and m.rcu.head[0].waiting == 0


def dequeue_callback(m):
    """Takes the oldest callback out of the queue; its page."""
    commutes("rcu_do_batch() works on a list of its own")
    page = m.rcu.head[0].page
    for i in range(RCU_QUEUE - 1):
        m.rcu.head[i].page = m.rcu.head[i + 1].page
        m.rcu.head[i].waiting = m.rcu.head[i + 1].waiting
    m.rcu.head[RCU_QUEUE - 1].page = 0
    m.rcu.head[RCU_QUEUE - 1].waiting = 0
    m.rcu.queued -= 1
    return page
