"""The house: imports run down, between packages and between files, and no file is too long."""

import ast
import functools
import re
from pathlib import Path

import pytest

from septum.cli.app import MODULES
from septum.explore.explore import sources
from tests.conftest import is_unstable

ROOT = Path(__file__).parents[1]

FLOORS = (
    "lang", "translate", "reduce", "host", "tdx", "kvm", "designs properties scenarios", "explore", "progress", "check",
    "hunt replay simulate sources", "report", "page", "cli",
)  # fmt: skip
"""The packages of septum from the ground up; those of one floor may import each other, file by file."""

KVM_FLOORS = ("seam", "tdp", "virt", "mmu", "vmx", "x86")
"""The rooms of septum/kvm from the ground up, above the files that lie in it."""

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "septum").rglob("*.py")
}


def imported(name: str) -> set[str]:
    """The files of septum that a file imports, also late, or for its types alone."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in FILES else node.module for alias in node.names
            }
    return {other for other in found if other in FILES and other != name}


IMPORTS = {name: imported(name) for name in FILES}


def floor(name: str) -> int | None:
    """On which floor a file lies; None for the few at the root."""
    parts = name.split(".")
    return next((n for n, rooms in enumerate(FLOORS) if len(parts) > 1 and parts[1] in rooms.split()), None)


def kvm_floor(name: str) -> int:
    room = name.split(".")[2:3]
    return KVM_FLOORS.index(room[0]) if room and room[0] in KVM_FLOORS else -1


def test_imports_run_down_between_packages() -> None:
    up = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if floor(name) is not None and (floor(other) is None or floor(other) > floor(name))
    ]
    assert not [line for line in up if not line.endswith(" imports septum")]


def test_imports_run_down_between_the_rooms_of_kvm() -> None:
    inside = [
        (name, other)
        for name, others in IMPORTS.items()
        for other in others
        if name.startswith("septum.kvm.") and other.startswith("septum.kvm.")
    ]
    assert not [f"{name} imports {other}" for name, other in inside if kvm_floor(other) > kvm_floor(name)]


def test_no_files_import_each_other_in_a_circle() -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " > ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in IMPORTS[name]:
                visit(other, (*way, name))
            done.add(name)

    for name in FILES:
        visit(name, ())


@pytest.mark.parametrize("path", sorted(FILES.values()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert not [f"{node.name}: {node.end_lineno - node.lineno + 1}" for node in functions if node.end_lineno - node.lineno >= 60]


C_PARTS = sorted((ROOT / "septum").rglob("*.c"))


@pytest.mark.parametrize("path", C_PARTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_in_c_is_short_and_its_first_lines_say_what_it_offers(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400
    head, rest = text.split("*/", 1)
    offers = head.partition("Offers")[2]
    names = re.findall(r"\b[a-z]+_\w+\b", offers)
    assert offers
    assert not [name for name in names if not re.search(rf"\b{name}\b", rest)]


def test_the_explorer_says_in_which_order_to_read_its_parts() -> None:
    head = (ROOT / "septum/explore/explorer.c").read_text().split("*/")[0]
    assert {path.name for path in sources()[""]} - {"explorer.c"} <= set(re.findall(r"\w+\.[ch]", head))


INSIDE = (ROOT / "docs/inside.md").read_text()


def named_on_the_page() -> list[str]:
    """The files, and what they define, in the picture, and all that stands between backticks in the text."""
    above, picture, below = INSIDE.split("```")
    shown = re.findall(r"[a-z]+/[\w/.]*\w|\w+\.\w+|\w+_\w+", picture)
    return sorted({*shown, *re.findall(r"`([^`\n]+)`", above + below)} - {"mine.py", "septum"})


def defines(text: str, name: str) -> bool:
    """Whether Python or C defines a name, or one that begins so where it ends with a star."""
    one = name[:-1] + r"\w*" if name.endswith("*") else name
    python, c = rf"^\s*(?:def|class) {one}\b|^{one}(?::.*)? = ", rf"#define {one}\b|^\w[\w *]*\b{one}\("
    return bool(re.search(f"{python}|{c}", text, re.MULTILINE))


@functools.cache
def texts() -> list[str]:
    return [path.read_text() for path in (ROOT / "septum").rglob("*.*") if path.suffix in (".py", ".c", ".h")]


def is_there(name: str) -> bool:
    """A path; what a file or a class defines; a name that some file defines; a command."""
    if name.startswith("septum "):
        return name.split()[1] in MODULES
    if any((folder / f"{name}{end}").exists() for folder in (ROOT, ROOT / "septum") for end in ("", ".py")):
        return True
    of, _, what = name.rpartition(".")
    if "/" in of:
        return (ROOT / f"septum/{of}.py").exists() and defines((ROOT / f"septum/{of}.py").read_text(), what)
    stands = [path.name for path in C_PARTS]
    return name in stands or any(defines(text, what) and (not of or defines(text, of)) for text in texts())


@pytest.mark.parametrize("name", named_on_the_page())
def test_what_the_page_on_the_inside_names_is_there(name: str) -> None:
    assert is_there(name)


def test_the_page_on_the_inside_has_the_floors_of_the_house() -> None:
    def floors(after: str) -> list[set[str]]:
        said = re.split(r"\.\s", INSIDE.partition(after)[2])[0]
        return [set(room.split(", ")) for room in said.split(" > ")]

    assert floors("run down the house: ") == [set(rooms.split()) for rooms in reversed(FLOORS)]
    assert floors("each a part of the kernel: ")[: len(KVM_FLOORS)] == [{room} for room in reversed(KVM_FLOORS)]


@pytest.mark.parametrize("name", ["explore/nowhere", "explore/build.nothing", "no_such_name", "septum nonsense", "Build.nothing"])
def test_a_name_that_is_nowhere_is_not_there(name: str) -> None:
    assert not is_there(name)


def test_a_name_of_a_test_that_differs_between_processes_is_refused():
    assert is_unstable(f"a[{ {'b', 'c'} }]") and is_unstable(f"a[{object()}]")
    assert not is_unstable(f"a[{ {'b': 1} }]") and not is_unstable("a[0x1000]")
