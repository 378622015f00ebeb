"""One HTML file with text, tables and pictures inside, which can be sent to somebody."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from ..utils.atomic import write_atomic

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ddd }
img { max-width: 100%; height: auto } p { max-width: 60em } .facts td:first-child { font-weight: 600; text-align: left }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block; overflow-x: auto }
td, th { border: 1px solid #ddd; padding: 3px 8px; text-align: right; font-variant-numeric: tabular-nums }
th { background: #f4f4f4 } td:first-child, th:first-child { text-align: left; white-space: nowrap }
"""


class HtmlReport:
    """Collects the parts of a report and writes them.

    Args:
        title: of the page.

    Example:
        >>> report = HtmlReport('Gates of <a network>')
        >>> report.add_text('one & two')
        >>> '<h1>Gates of &lt;a network&gt;</h1>' in report.text(), '<p>one &amp; two</p>' in report.text()
        (True, True)
    """

    def __init__(self, title: str) -> None:
        self.title = html.escape(title)
        self.parts: list[str] = []

    def add_heading(self, text: str) -> None:
        """Begins a section."""
        self.parts.append(f'<h2>{html.escape(text)}</h2>')

    def add_text(self, text: str) -> None:
        """Adds a paragraph."""
        self.parts.append(f'<p>{html.escape(text)}</p>')

    def add_picture(self, png: Path, alternative: str) -> None:
        """Adds a PNG, its bytes inside the page.

        Args:
            png: the file.
            alternative: what a reader gets who cannot see it.
        """
        content = base64.b64encode(png.read_bytes()).decode()
        self.parts.append(f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{content}">')

    def add_table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Adds a table; an empty header leaves that row out."""
        lines = [f'<tr>{"".join(f"<th>{html.escape(cell)}</th>" for cell in header)}</tr>'] if header else []
        lines += [f'<tr>{"".join(f"<td>{html.escape(cell)}</td>" for cell in row)}</tr>' for row in rows]
        kind = '' if header else ' class="facts"'
        self.parts.append(f'<table{kind}>\n{chr(10).join(lines)}\n</table>')

    def text(self) -> str:
        """The page."""
        head = f'<meta charset="utf-8"><title>{self.title}</title><style>{_STYLE}</style>'
        body = '\n'.join([f'<h1>{self.title}</h1>', *self.parts])
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'

    def write(self, path: Path) -> None:
        """Writes the page, whole or not at all."""
        write_atomic(path, self.text())
