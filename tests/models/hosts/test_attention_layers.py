"""Every attention layer in a host: its start, what it learns, its fused path, its arguments."""

from __future__ import annotations

import pytest
import torch
from mmdet.models import ResNet
from support.helpers import randomize
from torch import nn

from se_mm import SEResNet, SETwin
from se_mm.models.attention import LAYERS, Blend

WITHOUT_START = ('ge', 'simam')
every = pytest.mark.parametrize('name', LAYERS)


def config(name: str, **given: object) -> dict:
    start = {'start': 'blend'} if name in WITHOUT_START else {}
    return {'type': LAYERS[name].__name__, **start, **given}


def images() -> torch.Tensor:
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)).double()


def started(name: str, position: str = 'standard', depth: int = 18, **given: object) -> tuple[SEResNet, ResNet]:
    """A network with attention that was given the weights of a plain one, and the plain one."""
    size = dict(depth=depth, base_channels=32, stem_channels=32)
    plain = randomize(ResNet(**size).double())
    attention = config(name, **given)
    start = dict(se_init='identity', fold_norms=False)  # folded norms give the same up to rounding
    network = SEResNet(**size, attention=attention, attention_position=position, **start).double()
    network.load_state_dict(plain.state_dict())
    return network, plain


@every
@pytest.mark.parametrize('mode', [True, False])
def test_it_starts_as_the_plain_network_in_every_bit(name, mode):
    network, plain = started(name)
    network.train(mode), plain.train(mode)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            assert all(torch.equal(a, b) for a, b in zip(network(images()), plain(images()), strict=True))


@pytest.mark.parametrize('position', ['standard', 'pre', 'post', 'identity', 'conv2'])
@pytest.mark.parametrize(
    'start', [dict(start='blend', gate='tanh'), dict(start='gain')], ids=lambda start: start['start']
)
def test_a_blend_and_a_gain_start_so_in_every_position(position, start):
    network, plain = started('se', position, depth=50, **start)
    network.eval(), plain.eval()
    assert all(torch.equal(a, b) for a, b in zip(network(images()), plain(images()), strict=True))


def test_a_gain_starts_at_one_after_the_initialisation_of_the_host_and_is_part_of_the_gate():
    network = SEResNet(18, attention=dict(type='CBAM', start='gain'), init_cfg=dict(type='Normal', layer='Conv2d'))
    network.init_weights()
    layer, u = network.layer1[0].se, torch.randn(2, 64, 5, 4)
    assert layer.gain == 4
    assert torch.equal(layer(u), u)
    randomize(layer)
    torch.testing.assert_close(layer(u), 4 * layer.layer(u))
    torch.testing.assert_close(layer.gate(u) * u, layer(u))


@every
def test_every_layer_learns_from_there(name):
    torch.manual_seed(2)
    # Of few hidden units none may be active.
    hidden = {} if name in ('context', 'eca', 'ese', 'ge', 'simam') else {'reduction': 2}
    network, _ = started(name, **hidden)
    network.train()
    before = {key: value.clone() for key, value in network.named_parameters() if '.se.' in key}
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)
    for _ in range(3):  # what stands behind a zero moves after it
        optimizer.zero_grad()
        sum(feature.square().mean() for feature in network(images())).backward()
        optimizer.step()
    after = dict(network.named_parameters())
    softmax_ignores = ('conv_attn.bias', 'conv_mask.bias')
    still = [key for key, value in before.items() if torch.equal(value, after[key])]
    assert all(key.endswith(softmax_ignores) for key in still), still
    assert all(value.isfinite().all() for value in after.values())


@every
def test_what_is_saved_reads_back_and_is_deployed(name):
    network, _ = started(name)
    other = SEResNet(depth=18, base_channels=32, stem_channels=32, attention=config(name)).double()
    other.load_state_dict(randomize(network).state_dict())
    network.eval(), other.eval()
    with torch.no_grad():
        for ours, read, deployed in zip(network(images()), other(images()), other.deploy()(images()), strict=True):
            torch.testing.assert_close(read, ours, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(deployed, ours, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    'attention',
    [dict(type='ECALayer'), dict(type='ESELayer'), dict(type='GatherExcite'), *[
        dict(type='SELayer', gate=gate) for gate in ('tanh', 'relu', 'hard_sigmoid')]],
    ids=str,
)  # fmt: skip
def test_the_fused_path_is_the_plain_one(attention):
    network = randomize(SEResNet(depth=18, base_channels=32, stem_channels=32, attention=attention).double().train())

    def run() -> list[torch.Tensor]:
        network.zero_grad()
        x = images().requires_grad_()
        features = network(x)
        sum((feature * feature.detach().cos()).sum() for feature in features).backward()
        return [*features, x.grad, *[p.grad for p in network.parameters() if p.grad is not None]]

    fused = run()
    for unit in network.modules():  # a hook on the layer: somebody wants to see it called
        if hasattr(unit, 'se'):
            unit.se.register_forward_hook(lambda *_: None)
    plain = run()
    assert len(fused) == len(plain)
    for ours, theirs in zip(fused, plain, strict=True):
        scale = theirs.abs().max().clamp(min=1e-12)
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=0, atol=1e-10)


def test_arguments_per_stage_and_per_block():
    network = SEResNet(depth=50, attention=dict(type='ECALayer', k_size=(3, 5, 5, 7)))
    assert [getattr(network, f'layer{i}')[0].se.conv.kernel_size for i in (1, 2, 3, 4)] == [(3,), (5,), (5,), (7,)]
    network = SEResNet(depth=18, attention=dict(type='CBAM', reduction=[16, [8, 4], 16, 16], order='mean_max'))
    assert [unit.se.channel.fc1.out_channels for unit in network.layer2] == [16, 32]
    both = SEResNet(depth=18, attention=dict(type='ContextBlock', fusion_types=['channel_mul', 'channel_add']))
    assert both.layer4[1].se.channel_mul_conv is not None
    blended = SEResNet(depth=18, attention=dict(type='FcaLayer', dct_size=(56, 28, 14, 7), start='blend'))
    assert isinstance(blended.layer1[0].se, Blend)
    assert blended.layer1[0].se.layer.basis.shape == (16, 56, 56)


def test_a_layer_that_does_not_know_its_channels_is_blended_in():
    class Squared(nn.Module):
        def __init__(self, in_channels):
            super().__init__()

        def forward(self, u):
            return u * u

    blend = SEResNet(depth=18, attention=dict(type=Squared, start='blend')).layer2[0].se
    u = torch.randn(1, 128, 2, 2)
    assert blend.in_channels == 128
    assert torch.equal(blend(u), u)
    blend.alpha.data.fill_(1)
    torch.testing.assert_close(blend(u), u * u)


@every
def test_any_host_takes_it(name):
    twin = SETwin('mmdet.RegNet', arch='regnetx_400mf', attention=config(name, **(
        {'components': 'top8'} if name == 'fca' else {})))  # fmt: skip
    assert isinstance(twin.layer1[0].se, Blend if name in WITHOUT_START else LAYERS[name])
    twin.eval()
    assert [feature.shape[1] for feature in twin(torch.randn(1, 3, 64, 64))] == [32, 64, 160, 384]


@pytest.mark.parametrize('name', ['cbam', 'coord'])
def test_norms_inside_follow_a_synchronised_host_and_say_where_they_do_not(name, caplog):
    def norms(kind: str, **settings: object) -> set[type]:
        norm_cfg = dict(type=kind, **settings)
        network = SEResNet(
            18, attention=config(name), norm_cfg=norm_cfg, num_stages=1, out_indices=(0,), strides=(1,), dilations=(1,)
        )
        return {type(m) for m in network.layer1[0].se.modules() if isinstance(m, (nn.BatchNorm2d, nn.SyncBatchNorm))}

    assert norms('SyncBN') == {nn.SyncBatchNorm}
    assert norms('BN') == {nn.BatchNorm2d}
    assert 'keeps its BatchNorm' not in caplog.text
    assert norms('GN', num_groups=32) == {nn.BatchNorm2d}
