"""The table of attention layers."""

from __future__ import annotations

import pytest

from se_mm import SeMmError
from se_mm.benchmarks.attention import PLAIN, attentions, costs
from se_mm.benchmarks.networks import Setting
from se_mm.models.attention import LAYERS


def test_each_layer_beside_the_plain_network():
    candidates = Setting('training', depth=18, attention=('all',)).candidates()
    assert [candidate.name for candidate in candidates] == [PLAIN, *LAYERS]
    assert all(candidate.plain == PLAIN for candidate in candidates[1:])


def test_costs_are_counted():
    lines = costs(attentions(18, ['se', 'eca', 'simam'], frozen=True), (64, 64))
    cells = {row[0]: row for row in ([cell.strip() for cell in line.strip('|').split('|')] for line in lines)}
    hidden = {64: 8, 128: 8, 256: 16, 512: 32}
    assert cells['se'][2] == f'{sum(2 * (2 * c * h + c + h) for c, h in hidden.items()):,}'
    assert cells['se'][4] == f'{sum(2 * 2 * c * h for c, h in hidden.items()) / 1e6:.2f}'  # MAC: the weights
    assert cells['eca'][2] == str(2 * (3 + 5 + 5 + 5))
    assert cells['simam'][2:] == ['0', cells[PLAIN][3], '0.00', "start='blend'"]
    assert cells['se'][5] == 'gate 0.5'


def test_an_unknown_layer():
    with pytest.raises(SeMmError, match='there is no attention layer'):
        attentions(18, ['sea'], frozen=False)
