"""A file that cannot be used is refused with file and line; what it brings along is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from septum.check.check import check
from septum.check.loading import designs, load
from septum.explore.build import build
from septum.lang.errors import UserError
from septum.lang.struct import size_of
from septum.lang.types import scope

HEAD = '''"""A model."""
from septum.lang import *
'''
REST = """
@process
def run(m: World):
    yield
    m.n = 1

def start(setup):
    setup.thread("T0", call(run))

model = Model("x", World, (Scenario("s", "t", start, ()),), (Property("custody", "c"),))
"""
WORLD = """
class World(Struct):
    n: u8
"""
DESIGN = '''"""A design."""
from septum.designs.dpamt_merged import design as dpamt_merged
from septum.kvm.design import VCPU_POOL, VM_POOL, Design
from septum.lang import Struct, u8
'''

REFUSED = {
    "a type that there is not": (
        HEAD + "class World(Struct):\n    n: u8\n    x: 'u9'\n" + REST,
        "mine.py:5: World.x: no type is called u9",
    ),
    "a number for a type": (HEAD + "class World(Struct):\n    n: u8\n    x: 8\n" + REST, "mine.py:5: World.x: 8 is no type"),
    "an attribute that a module has not": (
        HEAD + "import septum\nclass World(Struct):\n    n: 'septum.u8'\n" + REST,
        "mine.py:5: World.n: 'septum.u8' is no type",
    ),
    "a field without a type": (HEAD + WORLD + "    x = 3\n" + REST, "mine.py:6: World.x has no type: write `x: u8`"),
    "a first value that does not fit": (
        HEAD + WORLD + REST.replace("    setup.thread", "    setup.m.n = 300\n    setup.thread"),
        "mine.py:13: World.n = 300 does not fit u8 (0 .. 255)\n    setup.m.n = 300\n  in the start of s",
    ),
    "a first value that is no number": (
        HEAD + WORLD + REST.replace("    setup.thread", "    setup.m.n = None\n    setup.thread"),
        "mine.py:13: World.n = None is no number, and no u8\n    setup.m.n = None\n  in the start of s",
    ),
    "an index beyond the first values": (
        HEAD + WORLD + "    a: u8[2]\n" + REST.replace("    setup.thread", "    setup.m.a[2] = 1\n    setup.thread"),
        "mine.py:14: index 2 is outside of an array of 2",
    ),
    "a type of a parameter that there is not": (
        HEAD + WORLD + REST.replace("m: World", "m: 'Wrold'"),
        "mine.py:8: the type of a parameter of run cannot be read: name 'Wrold' is not defined",
    ),
    "a model that is called": (
        HEAD + WORLD + REST.replace("m.n = 1", "model(m)"),
        "mine.py:10: model is not a function",
    ),
    "a process that no file has": (
        HEAD + WORLD + REST.replace("call(run)", "call(range)"),
        "<class 'range'> is no function of a file; a routine or process is a plain `def`",
    ),
    "a witness alone": (
        HEAD + WORLD + 'seen = Witness("seen", "s")\n' + REST.replace("start, ()", "start, seen"),
        "scenario s: its witnesses are a tuple of Witness: (emptied,)",
    ),
    "no start": (HEAD + WORLD + REST.replace("start, ()", "(), start"), "scenario s: its start is a function that fills a Setup"),
    "a part of septum that there is not": (HEAD + "import septum.no\n", "ModuleNotFoundError: No module named 'septum.no'"),
    "two threads of one name": (
        HEAD + WORLD + REST.replace("\n\nmodel", '\n    setup.thread("T0", call(run))\n\nmodel'),
        "mine.py:14: two threads are called T0",
    ),
    "two scenarios of one name": (
        HEAD + WORLD + REST.replace("start, ()),)", 'start, ()), Scenario("s", "u", start, ()))'),
        "x: two scenarios are called s",
    ),
    "a size by its name, of a scenario": (
        HEAD + WORLD + REST.replace("start, ())", 'start, (), {"SLOTS": 2})'),
        "scenario s: 'SLOTS' is no Size",
    ),
    "a size by its name, of a design": (
        DESIGN + 'design = Design("d", base=dpamt_merged, sizes={VCPU_POOL: 4, "VM_POOL": 4})\n',
        "mine.py:5: design d: 'VM_POOL' is no Size",
    ),
    "two structs for a vCPU": (
        DESIGN
        + 'design = Design("d", base=dpamt_merged)\n@design.vcpu\nclass A(Struct):\n    n: u8\n@design.vcpu\nclass B(Struct):\n'
        + "    n: u8\n",
        "the vCPU's struct is given twice: A, B",
    ),
    "a scenario that is there already": (
        DESIGN
        + 'from septum.lang import Scenario\ndesign = Design("d", base=dpamt_merged)\n'
        + 'mine = Scenario("same_gfn", "t", lambda setup: None)\n',
        "there is a scenario same_gfn already",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_said_with_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(text)
    with pytest.raises(UserError) as refused:
        built()
    assert message in str(refused.value)


def built() -> None:
    model = load("mine.py")
    build(model, model.scenarios[0])


def test_annotations_may_be_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(HEAD + "class World(Struct):\n    n: 'u8'\n    later: 'Part[2]'\nclass Part(Struct):\n    k: 'u16'\n" + REST)
    assert check(str(path), "s", engine="python").holds


def test_two_files_of_one_name_are_two_models(tmp_path: Path) -> None:
    models = []
    for name, of in (("old", "u8"), ("new", "u16")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "mine.py"
        path.write_text(HEAD + f"class Part(Struct):\n    k: {of}\nclass World(Struct):\n    n: 'u8'\n    p: 'Part'\n" + REST)
        models.append(load(str(path)))
    assert [size_of(model.world) for model in models] == [2, 3]


def test_a_module_beside_a_file_is_its_own(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "beside.py").write_text(f"VALUE = {value}\n")
        (directory / "mine.py").write_text(HEAD + "from beside import VALUE\n" + WORLD + REST.replace("m.n = 1", "m.n = VALUE"))
    for name, value in (("one", 1), ("two", 2), ("one", 1)):
        model = load(str(tmp_path / name / "mine.py"))
        built = build(model, model.scenarios[0])
        with scope(built.bindings):
            engine = built.engine()
            for _ in range(2):
                engine.step(0)
            assert engine.m.n == value


def test_a_design_file_brings_scenarios_and_properties_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        DESIGN
        + """from septum.kvm.vmx.vcpu import touch
from septum.lang import Property
from septum.scenarios.faults import RACES
from septum.scenarios.world import World, scenario

design = Design("mine", base=dpamt_merged)
never = Property("never", "a claim of the file")

@scenario("two on one page", witnesses=RACES, tables=4, pages=2)
def two_on_one(world: World) -> None:
    for vcpu in world.td().vcpus(2):
        vcpu.runs((touch, 0))
"""
    )
    model = load(str(path))
    built_in = {one.name for one in load("dpamt_merged").scenarios}
    assert [one.name for one in model.scenarios if one.name not in built_in] == ["two_on_one"]
    assert "never" in {one.name for one in model.properties}
    assert "two_on_one" not in built_in
    assert designs()["dpamt_merged"] is not model


def test_messages_show_arrays_sets_and_structs(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        HEAD
        + """
class Role(Enum):
    FREE = 0
    POOL = 1

CPUS = Size("CPUS", 3)
Cpu = Index("Cpu", CPUS)

class Pool(Struct):
    role: Role
    pages: u8[2]

class World(Struct):
    pool: Pool
    seen: SetOf(Cpu)
    by: SetOf(Cpu)[2]
    roles: array(Role, 2)
    a: boolean[3]

@process
def run(m: World, cpu: Cpu):
    m.seen |= only(cpu)
    m.by[1] = m.seen
    m.pool.role = Role.POOL
    m.pool.pages[1] = 7
    yield
    assert not m.a[0] and m.pool.pages[1] == 0, f"custody: {m.a} {m.pool} {m.seen} {m.by} {m.by[0]} {m.roles[1]}"

def start(setup):
    setup.thread("T0", call(run, 2))

model = Model("x", World, (Scenario("s", "t", start, ()),), (Property("custody", "c"),))
"""
    )
    result = check(str(path), "s", engine="python")
    assert result.clause == "custody: [0, 0, 0] Pool(role=POOL, pages=[0, 7]) {cpu 2} [{}, {cpu 2}] {} FREE"
    assert result.counterexample is not None
    changes = {change.place: (change.old, change.new) for change in result.counterexample.steps[0].changes}
    assert changes["seen"] == ("{}", "{cpu 2}")


def test_nothing_is_kept_beside_a_file_that_is_read(tmp_path, monkeypatch):
    """Bytecode of it would count as new for a second, whatever the file says then, and a full disk may leave half of it."""
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    (tmp_path / "mine.py").write_text("from parts import World\n" + HEAD + REST)
    (tmp_path / "parts.py").write_text(HEAD + WORLD)
    load(str(tmp_path / "mine.py"))
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "parts.py"}
