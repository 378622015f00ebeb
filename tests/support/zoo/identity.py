"""With the same weights a twin gives the plain model's losses and predictions, and its gates learn."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from se_mm.config.pretrained import without_pretrained
from se_mm.models.attention import Attention, Blend
from se_mm.models.hosts.attention_names import attention_named
from se_mm.swap import swap_backbone

from . import inputs
from .configs import Shipped, hosts

#: A bias before a softmax changes nothing.
SOFTMAX_IGNORES = ('conv_attn.bias', 'conv_mask.bias')


class Compared(NamedTuple):
    """How much was found equal: tensors of losses and of predictions, and the SE parameters that a step reached."""

    losses: int
    predictions: int
    learning: int


def check(config: Shipped, cfg: Config, attention: str = 'se') -> Compared:
    """Raises an AssertionError, or whatever a model raises, if one of the promises is not kept."""
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    cfg = prepared(cfg)
    plain, twin = build(cfg), build(twin_of(cfg, attention))
    inputs.keep_boxes_inside(plain)
    for host in hosts(cfg):
        randomize_norms(network_at(plain, host.keys))
    for module in twin.modules():
        if hasattr(module, 'fold_norms'):  # folded they give the same up to rounding
            module.fold_norms = False
    twin.load_state_dict(plain.state_dict(), strict=True)
    if hasattr(plain, 'teacher_model'):
        twin.teacher_model = plain.teacher_model  # no part of the state dict

    losses = equal(*(losses_of(model, cfg) for model in (plain, twin)), 'loss')
    predictions = equal(*(predictions_of(model, cfg) for model in (plain, twin)), 'prediction')
    return Compared(losses, predictions, learning_gates(twin, cfg))


def twin_of(cfg: Config, attention: str) -> Config:
    layer = {} if attention == 'se' else {'attention': attention_named(attention)}
    return swap_backbone(cfg, weights='none', se_init='identity', **layer)


def prepared(cfg: Config) -> Config:
    """Without files to load, and with boxes of any score, so that predictions can differ at all."""
    cfg = copy.deepcopy(cfg)
    cfg.load_from = None
    without_pretrained(cfg.model)
    inputs.adapt(cfg)
    return cfg


def build(cfg: Config) -> BaseModel:
    torch.manual_seed(0)
    config = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor'):
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(config)
    model.init_weights()
    return model


def network_at(model: nn.Module, keys: tuple[str | int, ...]) -> nn.Module:
    """The network that a config's keys became; all of the model where a class has put it elsewhere."""
    try:
        return model.get_submodule('.'.join(map(str, keys[1:])))
    except AttributeError:
        return model


def randomize_norms(network: nn.Module) -> None:
    """Norms that matter: initialised, the last one of a unit is zero, and its branch with it."""
    generator = torch.Generator().manual_seed(0)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    for module in network.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm)) and module.weight is not None:
            module.weight.data = uniform(module.weight, 0.5, 1)
            module.bias.data = uniform(module.bias, -0.1, 0.1)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.data = uniform(module.running_mean, -0.1, 0.1)
            module.running_var.data = uniform(module.running_var, 0.5, 1.5)
        if type(module).__name__ == 'TridentConv':  # which mmdet leaves as the memory was
            nn.init.kaiming_normal_(module.weight, generator=generator)


def losses_of(model: BaseModel, cfg: Config) -> list[Tensor]:
    state = copy.deepcopy(model.state_dict())
    model.train()
    inputs.seed()
    found = list(tensors(loss(model, cfg)))
    model.load_state_dict(state, strict=False)  # running statistics, queues and moving averages move in a forward
    return found


def loss(model: BaseModel, cfg: Config) -> dict[str, Any]:
    if cfg.model.type in inputs.WITHOUT_LOSS:
        return {}
    data = model.data_preprocessor(inputs.batch(cfg, training=True), True)
    return model(**data, mode='loss')


@torch.no_grad()
def predictions_of(model: BaseModel, cfg: Config) -> list[Tensor]:
    data = inputs.batch(cfg, training=False)
    if data is None:
        return []
    model.eval()
    inputs.seed()
    return list(tensors(model(**model.data_preprocessor(data, False), mode='predict')))


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value.detach()
    elif isinstance(value, BaseDataElement):
        given = ('gt_', 'ignored_', 'proposals')
        for key in sorted(name for name, _ in value.items() if not name.startswith(given)):
            yield from tensors(value.get(key))
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors(value[key])
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from tensors(inner)
    elif hasattr(value, 'tensor'):
        yield value.tensor


def equal(plain: list[Tensor], twin: list[Tensor], what: str) -> int:
    assert len(plain) == len(twin), f'{len(twin)} tensors of {what}, not {len(plain)}'
    for i, (a, b) in enumerate(zip(plain, twin, strict=True)):
        assert a.shape == b.shape, f'{what} {i} has shape {tuple(b.shape)}, not {tuple(a.shape)}'
        if a.is_floating_point():
            torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6, equal_nan=True)
        else:
            assert torch.equal(a, b), f'{what} {i} differs'
    return len(plain)


def reset(layer: Attention) -> None:
    """The layer as it starts on its own, or half blended in."""
    for module in layer.modules():
        if isinstance(module, Blend):
            nn.init.constant_(module.alpha, 0.5)
        elif hasattr(module, 'reset_parameters'):
            module.reset_parameters()


def learning_gates(twin: BaseModel, cfg: Config) -> int:
    """A step with gates that start where a layer starts reaches each of their parameters that is not frozen."""
    if cfg.model.type in inputs.WITHOUT_LOSS:
        return 0
    for module in twin.modules():
        if isinstance(module, Attention):
            reset(module)
    trained = {
        key: value
        for key, value in twin.named_parameters()
        if '.se.' in key and value.requires_grad and not key.endswith(SOFTMAX_IGNORES)
    }
    before = {key: value.detach().clone() for key, value in trained.items()}
    optimizer = torch.optim.SGD([value for value in twin.parameters() if value.requires_grad], lr=1e-2)
    twin.train()
    inputs.seed()
    total, _ = twin.parse_losses(loss(twin, cfg))
    total.backward()
    without = [key for key, value in trained.items() if value.grad is None or not value.grad.any()]
    assert not without, f'no gradient reaches {len(without)} of {len(trained)} SE parameters: {without[:3]}'
    optimizer.step()
    still = [key for key, value in trained.items() if torch.equal(value, before[key])]
    assert not still, f'a step does not change {len(still)} of {len(trained)} SE parameters: {still[:3]}'
    return len(trained)
