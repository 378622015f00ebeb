"""Every attention layer: its definition, its parameters on ResNet-50, its start, half precision."""

from __future__ import annotations

import math

import pytest
import torch
from timm.layers import EcaModule, EffectiveSEModule, SEModule
from timm.layers import GatherExcite as TimmGatherExcite
from timm.layers.cbam import CbamModule
from timm.layers.coord_attn import CoordAttn
from timm.layers.global_context import GlobalContext as TimmGlobalContext
from torch import nn
from torch.nn.utils import parametrizations, prune

from se_mm import SeMmError
from se_mm.models.attention import (
    CBAM,
    Blend,
    ContextBlock,
    CoordAtt,
    ECALayer,
    ESELayer,
    FcaLayer,
    GatherExcite,
    GlobalContext,
    SELayer,
    SimAM,
)

# Channels and number of residual units of the four stages of ResNet-50.
RESNET50 = {256: 3, 512: 4, 1024: 6, 2048: 3}
EVERY = [SELayer, ECALayer, CBAM, CoordAtt, GlobalContext, ContextBlock, ESELayer, FcaLayer, SimAM, GatherExcite]
STARTS = {SELayer: 0.5, ECALayer: 0.5, CBAM: 0.25, CoordAtt: 0.25, GlobalContext: 0.5, ContextBlock: 1.0,
          ESELayer: 0.5, FcaLayer: 0.5}  # fmt: skip
every = pytest.mark.parametrize('layer', EVERY, ids=lambda layer: layer.__name__)


def varied(module: nn.Module) -> nn.Module:
    """The module in float64 with random parameters and norm statistics."""
    generator = torch.Generator().manual_seed(1)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 + 0.1)
    return module.double()


def as_theirs(theirs: nn.Module, ours: nn.Module) -> None:
    """Both compute the same from the same state dict, training and not."""
    ours.double().load_state_dict(varied(theirs).state_dict())
    for mode in (False, True):  # training moves the statistics, each by its own momentum
        u = torch.randn(3, 64, 9, 6, dtype=torch.float64)
        torch.testing.assert_close(ours.train(mode)(u), theirs.train(mode)(u), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        (SEModule(64), SELayer(64)),
        (EcaModule(64), ECALayer(64)),
        (EcaModule(kernel_size=7), ECALayer(64, k_size=7)),
        (EffectiveSEModule(64), ESELayer(64)),
        (CbamModule(64), CBAM(64, bias=False, order='mean_max')),
        (CbamModule(64, mlp_bias=True, spatial_kernel_size=3, rd_ratio=1 / 8),
         CBAM(64, reduction=8, kernel_size=3, order='mean_max')),
        (CoordAttn(64, rd_channels=8, bias=True), CoordAtt(64)),
        (CoordAttn(64, rd_channels=16), CoordAtt(64, reduction=4, bias=False)),
        (TimmGlobalContext(64), GlobalContext(64)),
        (TimmGlobalContext(64, use_attn=False, rd_ratio=1 / 4), GlobalContext(64, reduction=4, pooling='avg')),
        (TimmGatherExcite(64, use_mlp=False), GatherExcite(64)),
        (TimmGatherExcite(64, use_mlp=False, extent=2), GatherExcite(64, extent=2)),
        (TimmGatherExcite(64, use_mlp=False, extent=4), GatherExcite(64, extent=4)),
    ],
    ids=lambda module: type(module).__name__,
)  # fmt: skip
def test_timms_layers(theirs, ours):
    as_theirs(theirs, ours)


@pytest.mark.parametrize('pooling', ['att', 'avg'])
@pytest.mark.parametrize('fusions', [('channel_add',), ('channel_mul',), ('channel_mul', 'channel_add')])
def test_mmcvs_context_block(pooling, fusions):
    from mmcv.cnn import ContextBlock as MmcvContextBlock

    given = dict(ratio=1 / 4, pooling_type=pooling, fusion_types=fusions)
    as_theirs(MmcvContextBlock(64, **given), ContextBlock(64, **given))


@pytest.mark.parametrize('channels', [16, 24, 64, 100, 128, 256, 512, 1024, 2048])
def test_ecas_kernel_follows_the_papers_rule_as_timm_reads_it(channels):
    assert ECALayer(channels).conv.kernel_size == EcaModule(channels).conv.kernel_size


def test_cbam_by_default_has_the_authors_order_of_maps():
    theirs = varied(CbamModule(64, mlp_bias=True))
    state = theirs.state_dict()
    ours = CBAM(64).double()
    state['spatial.conv.conv.weight'] = state['spatial.conv.conv.weight'].flip(1)
    ours.load_state_dict(state)
    u = torch.randn(2, 64, 9, 6, dtype=torch.float64)
    torch.testing.assert_close(ours.eval()(u), theirs.eval()(u), rtol=1e-12, atol=1e-12)


def test_simam_is_the_authors_formula():
    u = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    variance = u.var((2, 3), keepdim=True)
    energy = (u - u.mean((2, 3), keepdim=True)) ** 2 / (4 * (variance + 1e-4)) + 0.5
    torch.testing.assert_close(SimAM(6)(u), u * energy.sigmoid(), rtol=1e-12, atol=1e-12)
    assert SimAM(6)(torch.ones(1, 6, 1, 1)).isfinite().all()


@pytest.mark.parametrize(('components', 'size'), [('top16', 7), ('low8', 14), ('bot32', 7), ('top1', 21)])
@pytest.mark.parametrize('shape', [(14, 14), (9, 23)])
def test_fca_squeezes_by_the_cosine_transform(components, size, shape):
    from scipy.fft import dctn

    layer = varied(FcaLayer(64, reduction=4, components=components, dct_size=size))
    layer.basis.copy_(FcaLayer(64, reduction=4, components=components, dct_size=size).basis)
    u = torch.randn(2, 64, *shape, dtype=torch.float64)
    pooled = nn.functional.adaptive_avg_pool2d(u, size)
    spectrum = torch.from_numpy(dctn(pooled.numpy(), norm='ortho', axes=(2, 3)))
    ranked = {  # the first of the authors' lists, (row, column) in a 7 x 7 spectrum
        'top16': [(0, 0), (0, 1), (6, 0), (0, 5), (0, 2), (1, 0), (1, 2), (4, 0),
                  (5, 0), (1, 6), (3, 0), (0, 4), (0, 6), (0, 3), (3, 5), (2, 2)],
        'low8': [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 1), (1, 2)],
        'bot32': [(6, 6), (1, 4), (3, 4), (3, 6), (2, 6), (4, 3), (1, 1), (2, 4),
                  (4, 4), (4, 5), (5, 6), (1, 5), (4, 2), (6, 2), (2, 5), (5, 1),
                  (6, 4), (1, 3), (6, 5), (2, 0), (2, 3), (4, 1), (3, 1), (3, 2),
                  (5, 4), (5, 2), (6, 1), (2, 1), (5, 5), (5, 3), (3, 3), (6, 3)],
        'top1': [(0, 0)],
    }[components]  # fmt: skip
    part, scale = 64 // len(ranked), size // 7
    z = torch.cat([spectrum[:, i * part : (i + 1) * part, scale * row, scale * column]
                   for i, (row, column) in enumerate(ranked)], 1)  # fmt: skip
    torch.testing.assert_close(layer.squeeze(u)[..., 0, 0], z, rtol=0, atol=1e-5)  # the basis is float32
    s = torch.sigmoid(torch.relu(layer.squeeze(u)[..., 0, 0] @ layer.fc1.weight[..., 0, 0].T)
                      @ layer.fc2.weight[..., 0, 0].T)  # fmt: skip
    torch.testing.assert_close(layer(u), u * s[..., None, None], rtol=1e-12, atol=1e-12)


def added(layer: type[nn.Module], **given: object) -> int:
    """Parameters that the layer adds to ResNet-50."""
    with torch.device('meta'):
        return sum(units * sum(p.numel() for p in layer(c, **given).parameters()) for c, units in RESNET50.items())


def test_parameters_on_resnet_50():
    blocks = [c for c, units in RESNET50.items() for _ in range(units)]
    assert added(SELayer) == sum(c * c // 8 + c + c // 16 for c in blocks) == 2_530_992
    assert added(SELayer, bias=False) == added(FcaLayer) == 2_514_944
    assert added(FcaLayer, bias=True) == 2_530_992
    assert added(ECALayer) == 3 * 5 + 4 * 5 + 6 * 5 + 3 * 7 == 86
    assert sum(units * ECALayer(c, k_size=k).conv.weight.numel()
               for (c, units), k in zip(RESNET50.items(), (3, 5, 5, 7), strict=True)) == 80  # fmt: skip
    assert added(CBAM) == 2_530_992 + 16 * (2 * 49 + 2) == 2_532_592
    assert added(CBAM, bias=False) == 2_516_544
    assert added(CoordAtt) == sum(3 * c * c // 32 + 2 * c + 3 * (c // 32) for c in blocks) == 1_917_832
    assert added(GlobalContext) == sum(c * c // 4 + 2 * c + 1 + 3 * (c // 8) for c in blocks) == 5_065_776
    assert added(ESELayer) == sum(c * c + c for c in blocks) == 20_134_656
    assert added(SimAM) == added(GatherExcite) == 0


@every
@pytest.mark.parametrize('mode', [True, False])
def test_the_start_is_exact_and_the_layer_learns_from_it(layer, mode):
    torch.manual_seed(0)
    attention = layer(64).train(mode)
    if layer not in STARTS:
        with pytest.raises(SeMmError, match='zero weights|constant'):
            attention.zero_init_gate()
        attention = Blend(attention)
    c = attention.zero_init_gate()
    assert c == STARTS.get(layer, 1.0)
    assert math.log2(c).is_integer()
    u = 100 * torch.randn(2, 64, 8, 5)
    assert torch.equal(attention(u), c * u)
    optimizer = torch.optim.SGD(attention.parameters(), lr=1e-3)
    attention(u).square().mean().backward()
    optimizer.step()
    assert not torch.equal(attention(u), c * u)


@every
def test_shape_dtype_and_gradients(layer):
    attention = layer(64)
    u = torch.randn(2, 64, 5, 9, requires_grad=True)
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
            out = attention(u.to(dtype))
        assert out.shape == u.shape
        assert out.dtype is dtype
        out.float().sum().backward()
    assert all(p.grad is not None for p in attention.parameters())
    assert u.grad.isfinite().all()


@pytest.mark.parametrize('layer', [layer for layer in EVERY if 'Context' not in layer.__name__])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_gates_stay_finite_where_the_map_is_as_large_as_half_precision_goes(layer, dtype):
    attention = layer(256).eval()
    for parameter in attention.parameters():
        parameter.data.fill_(0.5)
    u = torch.full((1, 256, 14, 14), 6e4, dtype=dtype)
    u[..., ::2] = -6e4
    with torch.autocast('cpu', dtype=dtype):
        assert attention(u).isfinite().all()


@every
def test_the_gate_multiplies_the_map_in_any_layout_and_may_be_one_of_the_means(layer):
    attention = varied(layer(64)).eval()
    u = torch.randn(2, 64, 5, 9, dtype=torch.float64)
    torch.testing.assert_close(attention(u.to(memory_format=torch.channels_last)), attention(u))
    if layer is ContextBlock:
        with pytest.raises(SeMmError, match='no gate'):
            attention.gate(u)
    else:
        torch.testing.assert_close(attention(u), u * attention.gate(u), rtol=1e-12, atol=1e-12)
    known = attention.gate_of_mean()
    assert (known is not None) == (layer in (SELayer, ECALayer, ESELayer, GatherExcite))
    if known is not None:
        function, weights = known
        torch.testing.assert_close(function(u.mean((2, 3), keepdim=True), *weights), attention.gate(u))


INNER = [(ECALayer, 'conv'), (ESELayer, 'fc'), (FcaLayer, 'fc1'), (FcaLayer, 'fc2'), (SELayer, 'fc1'),
         (CoordAtt, 'conv_h'), (CBAM, 'channel.fc2'), (GlobalContext, 'mlp_scale.fc2'),
         (ContextBlock, 'channel_add_conv.3')]  # fmt: skip


@pytest.mark.parametrize(('layer', 'name'), INNER)
@pytest.mark.parametrize('change', ['hook', 'prune', 'weight_norm', 'spectral_norm', 'subclass'])
def test_the_layers_inside_are_called_and_use_the_weights_that_they_are_given(layer, name, change):
    torch.manual_seed(0)
    attention = layer(64).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.2)
    inner, u = attention.get_submodule(name), torch.randn(2, 64, 5, 9, dtype=torch.float64)
    before = attention(u)
    if change == 'hook':
        inner.register_forward_hook(lambda _, __, output: output + 1)
    elif change == 'prune':
        prune.l1_unstructured(inner, 'weight', amount=0.9)
    elif change == 'subclass':
        kind = type(inner)
        inner.__class__ = type('Shifted', (kind,), {'forward': lambda self, z: kind.forward(self, z) + 1})
        assert attention.gate_of_mean() is None
    elif change == 'weight_norm':
        parametrizations.weight_norm(inner)
        inner.parametrizations.weight.original0.data.mul_(0.5)
    else:
        parametrizations.spectral_norm(inner)
    assert not torch.allclose(attention(u), before)


@pytest.mark.filterwarnings('ignore:.*torch.jit.trace|.*TracerWarning')
@every
@pytest.mark.parametrize('wrapper', [None, Blend], ids=['alone', 'blended'])
def test_what_traces_make_of_a_layer_serves_maps_of_any_size(layer, wrapper):
    attention = varied(layer(64) if wrapper is None else Blend(layer(64))).float().eval()
    sizes = [torch.export.Dim(name, min=2, max=500) for name in 'hw']
    traced = [torch.fx.symbolic_trace(attention), torch.jit.trace(attention, torch.randn(2, 64, 1, 1))]
    exported = torch.export.export(attention, (torch.randn(2, 64, 9, 5),), dynamic_shapes=({2: sizes[0], 3: sizes[1]},))
    for size in ((1, 1), (7, 7), (9, 5), (224, 3)):
        u = torch.randn(2, 64, *size)
        for other in traced if size == (1, 1) else [*traced, exported.module()]:
            torch.testing.assert_close(other(u), attention(u))


def test_what_no_state_dict_holds_is_there_after_a_start_without_memory():
    expected = FcaLayer(64, dct_size=14)
    with torch.device('meta'):
        assigned, emptied = FcaLayer(64, dct_size=14), FcaLayer(64, dct_size=14)
    assigned.load_state_dict(expected.state_dict(), assign=True)
    emptied.to_empty(device='cpu').load_state_dict(expected.state_dict())
    u = torch.randn(2, 64, 9, 9)
    assert torch.equal(assigned(u), expected(u))
    assert torch.equal(emptied(u), expected(u))


def test_no_parameter_is_without_a_dimension():
    assert all(parameter.ndim for parameter in Blend(SELayer(64)).parameters())  # FSDP refuses one
