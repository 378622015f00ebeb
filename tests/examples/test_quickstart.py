"""The cells of the notebook run one after the other, on a smaller set."""

from __future__ import annotations

import json

import matplotlib
import pytest
from support.commands import forget_mmengines_state
from support.helpers import REPOSITORY
from support.small import draw_shapes


def test_the_quickstart_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    forget_mmengines_state()
    matplotlib.use('Agg')
    draw_shapes(tmp_path / 'shapes', train=8, val=4)
    namespace: dict = {}
    said = []
    for cell in json.loads((REPOSITORY / 'examples/quickstart.ipynb').read_text())['cells']:
        if cell['cell_type'] == 'code':
            exec(''.join(cell['source']), namespace)
            said.append(capfd.readouterr())
    assert [tuple(feature.shape[1:]) for feature in namespace['features']] == [
        (256, 32, 32),
        (512, 16, 16),
        (1024, 8, 8),
        (2048, 4, 4),
    ]
    assert 'NormalInit' not in said[0].out + said[0].err  # init_weights() is quiet
    assert 'KaimingInit' not in said[0].out + said[0].err
    assert namespace['difference'] == pytest.approx(0, abs=1e-5)
    assert namespace['cfg'].model.backbone.type == 'se_mm.SEResNet'
    assert len(namespace['seen']) == 2
    assert (tmp_path / 'work_dirs/faster_rcnn_se_r18_shapes/run1/curves.png').stat().st_size > 5000
    forget_mmengines_state()
