"""The hashes that are kept of each release: of the functions that the model stands for, and nothing of their text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from septum.lang.errors import UserError
from septum.sources.reader import Function
from septum.sources.tree import Tree, ordered

DIRECTORY = Path(__file__).parent / "kept"


@dataclass(frozen=True)
class Kept:
    """What is kept of a function: its file, and the hashes of its text, of its locks, of its calls."""

    file: str
    text: str
    locks: str
    calls: str


@dataclass(frozen=True)
class Release:
    """The functions of a release by name."""

    name: str
    functions: dict[str, Kept]


def releases(directory: Path = DIRECTORY) -> list[Release]:
    """Every release of which hashes are kept, the oldest first; UserError for a file that does not hold them."""
    found = []
    for path in directory.glob("*.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            functions = {name: Kept(*values) for name, values in document["functions"].items()}
            found.append(Release(document["release"], functions))
            ordered(document["release"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: holds no hashes of a release: {error}; septum sources TREE --keep makes such a file"
            ) from None
    return sorted(found, key=lambda one: ordered(one.name))


def kept(function: Function) -> Kept:
    """What is kept of a function."""
    return Kept(function.file, *function.hashes)


def keep(tree: Tree, names: Iterable[str], directory: Path = DIRECTORY) -> Path:
    """Writes the hashes of these functions of a tree, under the release that its Makefile names."""
    if not tree.release:
        raise UserError(f"{tree.root}: has no Makefile that names its release, so its hashes cannot be kept")
    found = {name: tree.function(name) for name in sorted(set(names))}
    lines = [f"  {json.dumps(name)}: {json.dumps([one.file, *one.hashes])}" for name, one in found.items() if one is not None]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{tree.release}.json"
    path.write_text(f'{{"release": "{tree.release}", "functions": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")
    return path
