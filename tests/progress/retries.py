"""Small models that go round for ever, or do not."""

from septum.lang import Index, Model, Scenario, Size, Struct, alike, atomic, boolean, call, choose, each, process, u8, when

PAGES = Size("PAGES", 5)
Pfn = Index("Pfn", PAGES, none=True, scalarset=True, first=1)


class World(Struct):
    busy: boolean[2]
    lock: bool
    flag: bool
    used: boolean[Pfn]
    held: Pfn


@process
def cross(m: World, first: u8, second: u8):
    """Takes one lock, tries the other, and lets go of the first where that is BUSY."""
    done: bool = False
    while not done:
        yield when(lambda: not m.busy[first])
        m.busy[first] = True
        yield
        atomic("who lets go a little later is waited for a little longer")
        if m.busy[second]:
            m.busy[first] = False
        else:
            m.busy[second] = True
            done = True
    yield
    m.busy[first] = False
    m.busy[second] = False


@process
def raise_flag(m: World):
    yield
    m.flag = True


@process
def raise_flag_locked(m: World):
    yield when(lambda: not m.lock)
    m.flag = True


@process
def wait_for_flag(m: World):
    yield when(lambda: m.flag)


@process
def poll(m: World):
    while not m.flag:
        yield


@process
def poll_locked(m: World):
    """Looks again and again, each time under a lock."""
    seen: bool = False
    while not seen:
        yield when(lambda: not m.lock)
        m.lock = True
        yield
        seen = m.flag
        m.lock = False


@process
def keep_or_free(m: World):
    """Each time it takes the lock, or lets go of it, as it likes."""
    keep: bool = False
    while not m.flag:
        x = yield choose(2)
        keep = x == 1
        m.lock = keep


@process
def swap_pages(m: World):
    """Takes another page and frees the one that it held, until somebody raises the flag."""
    while not m.flag:
        yield
        old = m.held
        for page in each(Pfn):
            alike("pages that are not used are alike")
            if not m.used[page]:
                m.used[page] = True
                m.held = page
                break
        if old != 0:
            m.used[old] = False


@process
def serve(m: World):
    """A daemon that is never at rest."""
    while True:
        yield
        m.busy[0] = not m.busy[0]


def scenario(name, *programs, daemon=False):
    def start(setup):
        for number, program in enumerate(programs):
            setup.thread(f"T{number}", program, daemon=daemon and number == 0)

    return Scenario(name, "", start)


model = Model("retries", World, (
    scenario("feed_each_other", call(cross, 0, 1), call(cross, 1, 0)),
    scenario("in_one_order", call(cross, 0, 1), call(cross, 0, 1)),
    scenario("three_around", call(cross, 0, 1), call(cross, 1, 0), call(cross, 0, 1)),
    scenario("polls_for_nobody", call(poll)),
    scenario("polls_until_told", call(poll), call(raise_flag)),
    scenario("told_under_the_lock", call(poll_locked), call(raise_flag_locked)),
    scenario("may_keep_the_lock", call(keep_or_free), call(raise_flag_locked)),
    scenario("pages_go_round", call(swap_pages)),
    scenario("pages_until_told", call(swap_pages), call(raise_flag)),
    scenario("only_the_daemon", call(serve), call(raise_flag), daemon=True),
    scenario("nobody_raises_it", call(serve), call(wait_for_flag), daemon=True),
))  # fmt: skip
