"""Insertion sites: the places in a host network where attention can stand, and what cancels a constant gate there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from ...compat.compiled import original
from ...errors import SeMmError
from ...weights.families import RESNETS, Family

#: Where attention stands in a unit ``y = relu(P(x) + F(x))`` (table 14, figure 5 and table 15 of the paper);
#: ``'sum'``: on the mixed branches of a Shake-Shake unit, one layer for all of them.
POSITIONS = ('standard', 'rectified', 'pre', 'post', 'identity', 'conv2', 'sum')
#: Activations that a positive factor passes through.
HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity)
#: Networks that have SE already.
WITH_SE = ('se_mm.models.hosts.attention_host.AttentionHost', 'mmpretrain.models.backbones.seresnet.SEResNet')


@dataclass(frozen=True)
class Part:
    """What in a parameter of the host belongs to the channels ``start`` to ``stop`` of a site's map.

    Attributes:
        name: of the parameter.
        start: the first channel.
        stop: the channel after the last one; ``None``: all that follow.
        reads: ``False``: the parameter makes these channels along its first dimension (a norm's scale and shift, a
            convolution). ``True``: it is the weight (O, I, k, k) of a convolution, or (O, I)
            of a linear layer, that reads them.
    """

    name: str
    start: int = 0
    stop: int | None = None
    reads: bool = False


def rescaled(parameter: Tensor, part: Part, factor: float | Tensor) -> Tensor:
    """A parameter with that part of it multiplied by a factor, or by one for each channel of the site's map, (C,).

    Example:
        >>> import torch
        >>> rescaled(torch.ones(1, 3, 1, 1), Part('conv.weight', 1, 3, reads=True), 2).flatten()
        tensor([1., 2., 2.])
    """
    channels = slice(part.start, part.stop)
    if isinstance(factor, Tensor):
        factor = factor[channels].to(parameter.device)
        factor = factor.view(-1, *[1] * (parameter.ndim - (2 if part.reads else 1)))
    if not part.reads:
        return (parameter * factor).to(parameter.dtype)
    parameter = parameter.clone()
    parameter[:, channels] = (parameter[:, channels] * factor).to(parameter.dtype)
    return parameter


def maker(
    name: str, layer: nn.Module, activation: nn.Module | None = None, start: int = 0, stop: int | None = None
) -> tuple[tuple[Part, ...], str]:
    """The compensation by a norm, or a convolution without one, that makes channels of a map, and the obstacle.

    Args:
        name: of the layer in the host.
        layer: scaled with its weight and bias.
        activation: behind it; ``None``: none.
        start: see :class:`Part`.
        stop: the same.

    Example:
        >>> [part.name for part in maker('bn1', nn.BatchNorm2d(8), nn.ReLU())[0]]
        ['bn1.weight', 'bn1.bias']
        >>> maker('bn1', nn.BatchNorm2d(8), nn.ReLU6())
        ((), 'twice the input of ReLU6 is not twice its output')
    """
    if getattr(layer, 'weight', None) is None:
        return (), f'{name} has no scale and shift that could be doubled; use a norm with affine=True'
    if activation is not None and not isinstance(activation, HOMOGENEOUS):
        return (), f'twice the input of {type(activation).__name__} is not twice its output'
    return tuple(Part(f'{name}.{key}', start, stop) for key, _ in layer.named_parameters(recurse=False)), ''


def reader(*convs: str, start: int = 0, stop: int | None = None) -> tuple[Part, ...]:
    """The compensation by the convolutions that read a map, by their names, whatever activation made it."""
    return tuple(Part(f'{conv}.weight', start, stop, reads=True) for conv in convs)


@dataclass(frozen=True)
class Site:
    """A place in a host where attention can stand.

    Attributes:
        name: of the parent module in the host (``'layer1.0'``).
        parent: the module that holds the attention, as ``se``.
        stage: index of the stage.
        block: index of the unit in its stage.
        channels: C of the map (N, C, H, W) that is rescaled.
        compensation: what cancels a constant gate: dividing all of these parts of the host's parameters by c
            where the map is multiplied by c changes no output.
        obstacle: why there are none; empty where there are.
        native: the attribute of the parent that holds attention of the host's own here; empty: there is none.
    """

    name: str
    parent: nn.Module
    stage: int
    block: int
    channels: int
    compensation: tuple[Part, ...] = ()
    obstacle: str = ''
    native: str = ''


def units_per_stage(sites: Iterable[Site], num_stages: int) -> list[int]:
    """The number of units of each stage; a unit of a Shake-Shake network has two sites."""
    counts = Counter(stage for stage, _ in {(site.stage, site.block) for site in sites})
    return [counts[stage] for stage in range(num_stages)]


class HostAdapter(ABC):
    """What se_mm knows of one family of hosts, without state.

    Everything that walks over attention in a network (insertion, parameter counts, identity start, loading, analysis,
    pruning) iterates :meth:`sites`.
    """

    #: Full names of the classes that it serves, so that no library is imported to look.
    classes: tuple[str, ...] = ()
    positions: tuple[str, ...] = ('standard',)
    #: The ``divisor`` of an SELayer where the config gives none: 1 where the hidden width is ``C // r``.
    se_divisor: int = 8
    #: The namings that weights of these hosts are published under.
    families: tuple[Family, ...] = RESNETS
    #: The poolings of the stem that ``stem_pool`` can choose; one alone: the host has its own.
    stem_pools: tuple[str, ...] = ('torch',)
    #: Whether sites that nothing compensates get layers with a gain of their own accord.
    exact: bool = False

    def check(self, host: nn.Module) -> None:  # noqa: B027 (most hosts need nothing)
        """Raises an SeMmError if a host lacks what the adapter relies on."""

    def naming(self, host: nn.Module) -> tuple[Family, ...]:
        """The namings that weights of a host are published under."""
        return self.families

    @abstractmethod
    def num_stages(self, host: nn.Module) -> int:
        """The number of stages that :attr:`Site.stage` counts."""

    @abstractmethod
    def sites(self, host: nn.Module, position: str = 'standard') -> Iterator[Site]:
        """The sites of a host, from input to output, whether attention stands there or not."""

    def variant(self, host: nn.Module) -> dict[str, str]:
        """What the shapes of a host's tensors do not tell, as ``{'style': 'pytorch'}``; saved with its weights."""
        return {}

    def insert(self, site: Site, attention: nn.Module, position: str = 'standard') -> None:
        """Makes ``attention`` part of the host, in place."""
        if not isinstance(getattr(site.parent, 'se', None), (nn.Identity, type(None))):
            raise SeMmError(
                f"{site.name} has a module 'se' already, which is the name of its attention; give the plugin another "
                "name: cfg=dict(type='se_mm.SELayer', postfix='_plugin')"
            )
        self.prepare(site, position)
        site.parent.se = attention

    def prepare(self, site: Site, position: str) -> None:  # noqa: B027 (these parents call their ``se`` by themselves)
        """Makes the parent of a site call its ``se``."""


def full_name(cls: type) -> str:
    """The name of a class with its module, ``'torch.nn.modules.conv.Conv2d'``: it is known by it without an import."""
    return f'{cls.__module__}.{cls.__qualname__}'


def inherits(cls: type, names: Collection[str]) -> bool:
    """Whether a class is, or inherits from, one of some classes by their full names."""
    return any(full_name(base) in names for base in cls.__mro__)


def check_position(adapter: HostAdapter, position: str, host: str) -> None:
    """Raises an SeMmError for a position that does not exist, or that a host does not offer."""
    if position not in POSITIONS:
        raise SeMmError(f'attention_position must be one of {", ".join(POSITIONS)}, got {position!r}')
    if position not in adapter.positions:
        raise SeMmError(f'{host} has no attention_position {position!r}; it has {", ".join(adapter.positions)}')


def units_of(host: nn.Module) -> Iterator[tuple[int, int, str, nn.Module]]:
    """The units of a network whose ``res_layers`` name its stages: stage, block, name and module of each."""
    for stage, layer in enumerate(host.res_layers):
        for block, unit in enumerate(original(getattr(host, layer))):
            yield stage, block, f'{layer}.{block}', original(unit)
