"""The paper's variants of the block: squeezes and gates (tables 11, 12 and 16)."""

from __future__ import annotations

import pytest
import torch
from timm.layers import SEModule

from se_mm import SELayer, SeMmError

SQUEEZES = ['avg', 'max', 'avg_max', 'none']
GATES = ['sigmoid', 'tanh', 'relu', 'hard_sigmoid']


def a_pair(theirs: torch.nn.Module, **given: str) -> tuple[torch.nn.Module, SELayer]:
    """Every variant has the state dict of SE."""
    ours = SELayer(64, reduction=8, **given).double()
    ours.load_state_dict(theirs.double().state_dict())
    return theirs, ours


@pytest.mark.parametrize('gate', GATES)
@pytest.mark.parametrize('squeeze', ['avg', 'avg_max'])
def test_timms_gates_and_squeezes(squeeze, gate):
    theirs = SEModule(64, rd_ratio=1 / 8, gate_layer=gate, add_maxpool=squeeze == 'avg_max')
    theirs, ours = a_pair(theirs, squeeze=squeeze, gate=gate)
    u = torch.randn(3, 64, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(u), theirs(u), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('gate', GATES)
def test_the_squeeze_by_the_maximum(gate):
    theirs, ours = a_pair(SEModule(64, rd_ratio=1 / 8, gate_layer=gate), squeeze='max', gate=gate)
    u = torch.randn(3, 64, 5, 7, dtype=torch.float64)
    at_maximum = theirs.gate(theirs.fc2(theirs.act(theirs.fc1(u.flatten(2).max(2).values[..., None, None]))))
    torch.testing.assert_close(ours(u), u * at_maximum, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('gate', GATES)
def test_no_squeeze_is_se_on_every_position(gate):
    theirs, ours = a_pair(SEModule(64, rd_ratio=1 / 8, gate_layer=gate), squeeze='none', gate=gate)
    u = torch.randn(2, 64, 3, 4, dtype=torch.float64)
    for i in range(3):
        for j in range(4):
            position = u[:, :, i : i + 1, j : j + 1]
            torch.testing.assert_close(ours(u)[:, :, i : i + 1, j : j + 1], theirs(position), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('squeeze', SQUEEZES)
@pytest.mark.parametrize('gate', GATES)
def test_the_start(squeeze, gate):
    layer = SELayer(64, squeeze=squeeze, gate=gate)
    u = 100 * torch.randn(2, 64, 5, 7)
    if gate in ('tanh', 'relu'):
        with pytest.raises(SeMmError, match='zero weights|constant'):
            layer.zero_init_gate()
    else:
        assert layer.zero_init_gate() == 0.5
        assert torch.equal(layer(u), 0.5 * u)
        layer(u).square().sum().backward()
        assert layer.fc2.weight.grad.abs().max() > 0


@pytest.mark.parametrize('gate', GATES)
def test_the_gate_of_the_means(gate):
    layer = SELayer(64, gate=gate).double()
    u = torch.randn(2, 64, 5, 7, dtype=torch.float64)
    function, weights = layer.gate_of_mean()
    torch.testing.assert_close(function(u.mean((2, 3), keepdim=True), *weights), layer.gate(u))
    assert all(SELayer(64, squeeze=squeeze, gate=gate).gate_of_mean() is None for squeeze in SQUEEZES[1:])


@pytest.mark.parametrize('squeeze', SQUEEZES)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(squeeze, dtype):
    layer = SELayer(64, squeeze=squeeze)
    with torch.autocast('cpu', dtype=dtype):
        out = layer(torch.randn(2, 64, 5, 7).to(dtype))
    assert out.dtype is dtype
    assert layer.to(dtype)(torch.randn(2, 64, 5, 7).to(dtype)).dtype is dtype
