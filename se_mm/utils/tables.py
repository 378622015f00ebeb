"""Tables for the console and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def markdown_table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown.

    Example:
        >>> markdown_table(['a', 'b'], [[1, '2']])
        ['| a | b |', '| --- | --- |', '| 1 | 2 |']
    """
    return [f'| {" | ".join(map(str, row))} |' for row in (header, ['---'] * len(header), *rows)]


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Prints a table on the console: the first column to the left, the others to the right.

    The cells of the rows may have rich's markup, as ``'[bold]0.5[/]'``.
    """
    console = Console()
    if not console.is_terminal:
        console.width = 1000  # a file has no edge; at 80 columns rich cuts numbers
    table = Table(title=title, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(header):
        table.add_column(name, justify='right' if i else 'left', no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table)
