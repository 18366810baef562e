"""The hashes that are kept of each release: of the functions that the model stands for, and nothing of their text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from septum.lang.errors import UserError
from septum.lang.whole import write_whole
from septum.sources.reader import Function, Hashes
from septum.sources.tree import PLACES, Tree, ordered

DIRECTORY = Path(__file__).parent / "kept"


@dataclass(frozen=True)
class Kept:
    """What is kept of a function."""

    file: str
    hashes: Hashes


@dataclass(frozen=True)
class Release:
    """The functions of a release by name."""

    name: str
    functions: dict[str, Kept]

    def tree(self) -> Tree:
        """A tree of which no more is known than what is kept."""
        nothing: frozenset[str] = frozenset()
        functions = {name: [Function(name, one.file, 0, 0, (), nothing, one.hashes)] for name, one in self.functions.items()}
        return Tree(Path(self.name), self.name, PLACES, functions)


def releases(directory: Path = DIRECTORY) -> list[Release]:
    """Every release of which hashes are kept, the oldest first; UserError for a file that does not hold them."""
    found = []
    for path in directory.glob("*.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            functions = {name: Kept(file, Hashes(*hashes)) for name, (file, *hashes) in document["functions"].items()}
            found.append(Release(document["release"], functions))
            ordered(document["release"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path}: holds no hashes of a release: {error}; septum sources TREE --keep makes such a file"
            ) from None
    return sorted(found, key=lambda one: ordered(one.name))


def keep(tree: Tree, names: Iterable[str], directory: Path = DIRECTORY) -> Path:
    """Writes the hashes of these functions of a tree, under the release that its Makefile names."""
    if not tree.release:
        raise UserError(f"{tree.root}: has no Makefile that names its release, so its hashes cannot be kept")
    found = {name: tree.function(name) for name in sorted(set(names))}
    lines = [
        f"  {json.dumps(name)}: {json.dumps([one.file, *astuple(one.hashes)])}" for name, one in found.items() if one is not None
    ]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{tree.release}.json"
    write_whole(path, f'{{"release": "{tree.release}", "functions": {{\n' + ",\n".join(lines) + "\n}}\n")
    return path
