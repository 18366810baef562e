"""Both engines leave the same bytes, for the same schedule, after every step."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from septum.translate.compile import compiler
from tests.lang.parity import assert_same

PROGRAMS = {
    "control flow": """
        @process
        def p(m: World, t: u8):
            total: u8 = 0
            for i in range(3):
                yield
                if i == 1:
                    continue
                while m.n < 5:
                    m.n += 1
                    yield
                    if m.n == 3:
                        break
                total = u8(total + m.n + i)
            m.small[t] = total
            yield
    """,
    "fields that are called as words of C": """
        class Word(Struct):
            short: u8
            short_: u16[2]
            linux: bool

        class World(Struct):
            double: Word[2]
            n: u8

        @process
        def p(m: World, t: u8):
            for unsigned in range(2):
                yield
                m.double[t].short = u8(unsigned + 1)
                m.double[t].short_[1] = u16(3 * m.double[t].short)
                m.double[unsigned].linux = True
                yield when(lambda: m.double[t].short > 0)
                m.n = u8(m.n + 1)
    """,
    "a lock and a choice": """
        @process
        def lock(m, t: u8):
            yield when(lambda: m.n == 0)
            m.n = u8(t + 1)

        @process
        def p(m: World, t: u8):
            yield from lock(m, t)
            x = yield choose(3)
            assert m.n == t + 1, f"mutual exclusion: {m.n}"
            y = yield choose(lambda: 1 + (m.wide & 1))
            m.wide += 1 + x + y
            m.n = 0
            yield
    """,
    "a number of a class": """
        def weight(page):
            return page.WEIGHT + 1

        @process
        def p(m: World, t: u8):
            yield
            m.wide = weight(m.page[Pfn(1)]) + m.wide
            yield
    """,
    "nested processes with results": """
        @process
        def inner(m, k):
            yield
            if m.flag:
                return k
            m.flag = True
            yield
            return u8(k + 1)

        @process
        def middle(m, k):
            a = yield from inner(m, k)
            b = yield from inner(m, a)
            return (yield from inner(m, u8(a + b)))

        @process
        def p(m: World, t: u8):
            k = yield from middle(m, t)
            m.small[t] = k
            reached(seen)
            m.flag = False
            yield
    """,
    "references across yields": """
        def frame(m, page: Pfn):
            return m.page[page]

        @process
        def fill(m, where, value: u8):
            for i in range(ENTRIES):
                yield
                where.word[i] = value
                yield
                where.role += value

        @process
        def p(m: World, t: u8):
            page = frame(m, Pfn(2 + t))
            yield
            page.next = Pfn(3)
            yield from fill(m, page, 7)
            table = page.word
            yield
            e = table[1]
            yield
            m.wide = e
            yield
    """,
    "entries and scalarsets": """
        def present(page: Pfn) -> Entry:
            return (u64(page) << 12) | 0x801

        @process
        def p(m: World, t: u8):
            for page in each(Pfn):
                alike("the pages are marked by the order of their numbers, which both engines share")
                if m.page[page].role == 0:
                    yield
                    m.page[page].role = u8(t + 1)
                    m.page[1].word[t] = present(page)
                    yield
                    e = m.page[1].word[t]
                    other = Pfn((e >> 12) & 0xFF)
                    yield
                    m.page[1].next = other
                    m.page[other].role = 9
                    return
    """,
    "an enum and its comparison": """
        def flip(c: Color):
            return Color.GREEN if c == Color.RED else Color.RED

        @process
        def p(m: World, t: u8):
            c = m.color
            yield
            m.color = flip(c)
            yield
            m.flag = m.color in (Color.GREEN, Color.RED) and not m.flag
            yield
    """,
    "down-counting loops and early returns": """
        @process
        def p(m: World, t: u8):
            for level in range(2, 0, -1):
                yield
                m.small[level] += 1
                if m.small[level] == 2:
                    return
            for v in each(Vcpu):
                yield
                m.per[v] += 1
    """,
    "an assertion that fails": """
        @process
        def p(m: World, t: u8):
            m.n += 1
            yield
            assert m.n < 2, f"custody: {m.n} at once"
            warn_on(m.n == 200, "no")
            yield
            m.n -= 1
    """,
    "a store out of range": """
        @process
        def p(m: World, t: u8):
            while True:
                yield
                m.small[t] += 100
    """,
}


WITHOUT_SCALARSETS = """
    class World(Struct):
        n: u8

    @process
    def p(m: World, t: u8):
        yield
        m.n = t
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_random_schedules_leave_the_same_bytes(program, name):
    text = PROGRAMS[name]
    built = program(text, 0) if name == "a store out of range" else both(program, text)
    steps = sum(assert_same(built, seed, 60) for seed in range(30))
    assert steps > 60


def both(program, text):
    """Two threads, each told its number."""
    from dataclasses import replace

    from septum.explore.build import build
    from septum.lang import Scenario, call

    one = program(text, 0)
    process = one.threads[0].calls[0].process

    def start(setup):
        setup.thread("T0", call(process, 0))
        setup.thread("T1", call(process, 1), call(process, 1))

    return build(replace(one.model), Scenario("both", "", start))


def test_generated_c_compiles_without_a_warning(program, tmp_path):
    for name, text in {**PROGRAMS, "no scalarset": WITHOUT_SCALARSETS}.items():
        source = tmp_path / "model.c"
        source.write_text(both(program, text).translation.code)
        command = [
            *compiler(),
            "-std=gnu11",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-c",
            "-o",
            str(tmp_path / "model.o"),
            str(source),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{name}\n{run.stderr}"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the sanitizers' libraries come with gcc")
def test_generated_c_is_clean_under_the_sanitizers(program, tmp_path):
    main = """
    int main(void)
    {
        static _Alignas(16) uint8_t initial[STATE_SIZE];
        struct septum_run run = { .initial = initial, .threads = 2, .workers = 2, .symmetry = 1,
                                  .most_states = 5000 };
        call_t calls[2] = { { 0, { 0 } }, { 0, { 1 } } };
        septum_program(0, 1, &calls[0]);
        septum_program(1, 1, &calls[1]);
        septum_explore(&run);
        printf("%d %d\\n", run.outcome, (int)run.progress.states);
        septum_free(&run);
        return 0;
    }
    """
    for name, text in PROGRAMS.items():
        source, binary = tmp_path / "model.c", tmp_path / "model"
        source.write_text(both(program, text).translation.code + main)
        flags = ["-std=gnu11", "-O1", "-g", "-pthread", "-fno-sanitize-recover=all", "-fsanitize=address,undefined"]
        subprocess.run(["gcc", *flags, "-o", str(binary), str(source)], check=True, capture_output=True)
        run = subprocess.run([str(binary)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{name}\n{run.stderr}"
