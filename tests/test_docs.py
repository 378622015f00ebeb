"""The pages: every link leads somewhere, and the site lists them all."""

from __future__ import annotations

import re

import pytest
import yaml
from support.helpers import REPOSITORY

PAGES = [REPOSITORY / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md')]
PAGES += sorted((REPOSITORY / 'docs').glob('*.md'))
FENCED = re.compile(r'^```.*?^```', re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.*)$', FENCED.sub('', text), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', FENCED.sub('', page.read_text())):
        if '://' in target:
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file.read_text()), target


def test_the_site_has_every_page():
    listed = set(re.findall(r'[\w]+\.md', (REPOSITORY / 'mkdocs.yml').read_text()))
    assert listed == {page.name for page in (REPOSITORY / 'docs').glob('*.md')}
    assert yaml.safe_load((REPOSITORY / 'mkdocs.yml').read_text())['docs_dir'] == 'docs'
