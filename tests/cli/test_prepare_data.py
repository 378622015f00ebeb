"""tools/prepare_data.py: what is there, and what is missing."""

from __future__ import annotations

from support import places_tree
from support.commands import output, tool


def test_prepare_data_says_what_should_be_where(tmp_path):
    done = tool('prepare_data', 'places365', tmp_path)
    assert done.returncode == 1
    assert f'MISSING  {tmp_path / "data_256"}' in done.stdout
    assert 'md5 53ca1c756c3d1e7809517cc47c5561c5' in done.stdout
    root = places_tree.make(tmp_path / 'places', '256', train=1)
    assert tool('prepare_data', 'places365', root).returncode == 0
    said = output(tool('prepare_data', 'places365', root, '--check'))
    assert '730 pictures looked at, 0 missing or broken' in said
