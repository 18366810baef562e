"""A page as one file: it has all that it needs in it, asks no network for anything, and opens anywhere."""

from __future__ import annotations

import base64
import hashlib
import html
from importlib.resources import files
from pathlib import Path
from typing import Any

from septum import __version__
from septum.lang.whole import write_whole
from septum.page.document import as_text


def web(name: str) -> str:
    """A file of the page."""
    return files("septum.page").joinpath("web", name).read_text(encoding="utf-8")


def page(title: str, made: dict[str, Any], text: str) -> str:
    """The whole page of a document; `text` is what a reader without scripts sees. Only its own script may run."""
    script, style = web("page.js"), web("page.css")
    allowed = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    said = {"title": title, "said": f"septum {__version__}", **made}
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(allowed)}">\n'
        f"<style>{style}</style>\n</head>\n<body>\n<noscript><pre>{html.escape(text)}</pre></noscript>\n"
        f'<script type="application/json" id="document">{as_text(said)}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def write(name: str, title: str, made: dict[str, Any], text: str) -> None:
    """Writes the page, or nothing."""
    write_whole(Path(name), page(title, made, text))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
