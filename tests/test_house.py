"""The house: imports run down, between packages and between files, and no file is too long."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    "lang", "translate", "reduce", "host", "tdx", "kvm", "designs properties scenarios", "explore", "progress", "check",
    "hunt replay sources", "report", "cli",
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
