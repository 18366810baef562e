"""Draws the picture of the glossary: `python docs/pictures/glossary.py` writes glossary.svg beside itself."""

from __future__ import annotations

from html import escape
from pathlib import Path

FILE = Path(__file__).with_suffix(".svg")
# A page of the site may be dark while the system is light, so the picture has a ground of its own.
INK, GROUND, FAINT, BLUE, GREEN, AMBER, PAPER = "#1b2733", "#fbfcfe", "#5f6f80", "#d6e6fb", "#d9f0dd", "#fbe8c8", "#ffffff"


def box(x: int, y: int, width: int, height: int, fill: str, *lines: str, dashed: bool = False) -> str:
    """A rectangle; the first line of its text is bold."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    rows = [
        f'<text x="{x + 10}" y="{y + 20 + 17 * number}" font-weight="{400 if number else 700}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    ]
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{INK}"{dashes}/>' + "".join(
        rows
    )


def arrow(x: int, y: int, to_x: int, to_y: int, label: str = "", *, at: tuple[int, int] = (0, 0)) -> str:
    line = f'<line x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}" stroke="{INK}" stroke-width="1.5" marker-end="url(#tip)"/>'
    return line + f'<text x="{at[0]}" y="{at[1]}" fill="{FAINT}" font-style="italic">{escape(label)}</text>'


def heading(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="15" font-weight="700" fill="{FAINT}">{escape(text)}</text>'


def picture() -> str:
    """Pools at the top, the two trees below, the frames with their pairs at the bottom."""
    pools = ("pools of a vCPU", "pages for mirror tables, S-EPT pages, pairs:", "filled before mmu_lock is taken")
    users = ("a 2M range: 512 frames", "the host counts the users of the range;", "with one user or more it must have a pair")
    holders = "custody: each frame has one holder: the allocator, a pool, a tree, the module, a file of the guest, or a call"
    parts = [
        heading(20, 28, "KVM: the host's memory"),
        heading(490, 28, "TDX module"),
        f'<text x="490" y="62" fill="{FAINT}">memory that only the module writes</text>',
        box(20, 45, 400, 76, AMBER, *pools),
        box(20, 165, 175, 60, BLUE, "mirror table", "root, made by KVM"),
        box(20, 265, 175, 60, BLUE, "mirror table", "one level down"),
        box(20, 365, 175, 60, BLUE, "leaf entry", "this GFN -> this page"),
        box(490, 165, 175, 60, GREEN, "S-EPT page", "root of the TD"),
        box(490, 265, 175, 60, GREEN, "S-EPT page", "one level down"),
        box(490, 365, 175, 60, GREEN, "leaf entry", "this GFN -> this page"),
        *(arrow(x, y, x, y + 38) for x in (107, 577) for y in (225, 325)),
        arrow(195, 295, 488, 295, "SEAMCALL: add a table", at=(265, 287)),
        arrow(195, 395, 488, 395, "SEAMCALL: add or remove a page", at=(242, 387)),
        arrow(107, 121, 107, 163, "a page is popped", at=(117, 147)),
        '<text x="212" y="345" font-weight="700">agreement: both trees say the same</text>',
        heading(20, 468, "Frames of the host, 4K each"),
        box(20, 485, 400, 78, PAPER, *users, dashed=True),
        box(490, 485, 175, 78, GREEN, "pair", "two pages of PAMT", "for one 2M range"),
        arrow(420, 524, 488, 524, "backing", at=(427, 516)),
        f'<text x="20" y="592">{holders}</text>',
    ]
    return "\n".join([
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 612" font-family="sans-serif" font-size="13" role="img"'
        ' aria-label="Pools, the mirror tree, the Secure EPT, frames and pairs">',
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{INK}"/></marker></defs>',
        f'<rect width="760" height="612" rx="8" fill="{GROUND}"/>', f'<g fill="{INK}">', *parts, "</g>", "</svg>",
    ]) + "\n"  # fmt: skip


if __name__ == "__main__":
    FILE.write_text(picture())
