"""The table of docs/reliability.md, from the tests that are marked with the fault that they inject."""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from pathlib import Path

import pytest
import torch

HEADING = """# Faults that a training survives

Each of these is injected by a test; this table is what `make soak` writes when it has run them.

{summary}

| fault | what becomes of it | cases | test |
| --- | --- | --- | --- |
"""


class Table:
    """Collects the outcomes of the tests marked ``fault``, and writes them; the tests may run in several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outcomes: dict[tuple[str, str, str], list[str]] = defaultdict(list)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        (yield).get_result().faults = rows_of(item)

    def pytest_runtest_logreport(self, report):
        if report.when == 'call' or report.outcome != 'passed':
            for row in report.faults:
                self.outcomes[tuple(row)].append(report.outcome)

    def pytest_sessionfinish(self, session):
        if hasattr(session.config, 'workerinput'):
            return  # a process of pytest-xdist, whose reports the main one has
        cases = [outcome for outcomes in self.outcomes.values() for outcome in outcomes]
        counts = ', '.join(f'{cases.count(kind)} {kind}' for kind in dict.fromkeys(['passed', *cases]))
        where = f'Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} CPU cores'
        text = HEADING.format(summary=f'{len(self.outcomes)} faults, {len(cases)} cases: {counts} ({where}).')
        for (fault, outcome, test), outcomes in sorted(self.outcomes.items(), key=lambda row: row[0][2]):
            what = outcome if set(outcomes) == {'passed'} else f'**{" ".join(sorted(set(outcomes)))}**'
            text += f'| {fault} | {what} | {len(outcomes)} | `{test}` |\n'
        self.path.write_text(text)


def rows_of(item) -> list[tuple[str, str, str]]:
    """The rows that a test stands for: the fault, what becomes of it, and the file of the test."""
    tests = Path(__file__).parents[1]
    return [(*mark.args, str(Path(item.fspath).relative_to(tests))) for mark in item.iter_markers('fault')]
