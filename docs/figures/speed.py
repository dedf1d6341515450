#!/usr/bin/env python3
"""Draws docs/figures/speed.svg from the table "Figures" of README.md."""
import html
import pathlib
import re

HERE = pathlib.Path(__file__).parent
ROW, LABEL, BAR, RIGHT = 24, 320, 340, 60
FULL = 3  # of a plain directory, at the right end of the bars


def rows(text):
    """Label and ratio of each row whose ratio is one number."""
    table = text.split("## Figures", 1)[1].split("\n## ", 1)[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 2 and re.fullmatch(r"\d*\.\d+", cells[1]):
            yield cells[0], float(cells[1])


def draw(figures):
    height = ROW * (len(figures) + 1) + 16
    width = LABEL + BAR + RIGHT
    one = LABEL + BAR / FULL
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="Speed against a plain directory on ext4">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<line x1="{one}" y1="{ROW}" x2="{one}" y2="{height - 8}" stroke="#8a97a5" stroke-dasharray="3 3"/>',
        f'<text x="{one}" y="16" text-anchor="middle" fill="#5b6875">a plain directory</text>',
    ]
    for number, (label, ratio) in enumerate(figures):
        top = ROW * (number + 1) + 4
        length = min(ratio, FULL) * BAR / FULL
        colour = "#3b7dd8" if ratio >= 0.5 else "#c98a2b"
        out += [
            f'<text x="{LABEL - 10}" y="{top + 13}" text-anchor="end">{html.escape(label)}</text>',
            f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{ROW - 8}" fill="{colour}"/>',
            f'<text x="{LABEL + length + 6:.1f}" y="{top + 13}">{ratio:.2f}</text>',
        ]
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    readme = (HERE.parent.parent / "README.md").read_text()
    (HERE / "speed.svg").write_text(draw(list(rows(readme))))
