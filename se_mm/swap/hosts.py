"""Finding the networks in a config that attention can be put into."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS

from ..config.tree import Keys, dotted, nodes
from ..errors import SeMmError
from ..models.hosts.adapters import find_adapter, unsuited
from ..models.hosts.sites import WITH_SE, inherits
from ..utils.type_names import type_name
from .building import shapes_only

#: What ``parts`` of a model attention can be put into.
PARTS = ('backbone', 'neck')
SWAPPABLE = (
    'backbones of mmdet and mmpretrain (ResNet, ResNeXt, RegNet, Res2Net, ResNeSt and what inherits ResNet, HRNet, '
    'Hourglass, VGG, SSDVGG, Inception, ShuffleNetV1, Darknet, CSPDarknet, CSPNeXt, MobileNet, EfficientNet, ConvNeXt, '
    'DenseNet), and necks (FPN and what inherits it, ChannelMapper, BFP, HRFPN, YOLOXPAFPN, CSPNeXtPAFPN)'
)


@dataclass(frozen=True)
class Host:
    """A network that attention can be put into: its keys, ``('model', 'backbone')``, dictionary there and class."""

    keys: Keys
    config: Mapping[str, Any]
    cls: type

    @property
    def name(self) -> str:
        """The dotted keys."""
        return dotted(self.keys)

    @property
    def type(self) -> str:
        """The class as a config of any scope may name it."""
        package = self.cls.__module__.partition('.')[0]
        if package in ('mmdet', 'mmpretrain'):
            with MODELS.switch_scope_and_registry(None) as registry:  # mmpretrain registers some in mmdet
                known = registry.get(f'{package}.{self.cls.__name__}') is self.cls
            return f'{package if known else "mmdet"}.{self.cls.__name__}'
        return self.config['type'] if isinstance(self.config['type'], str) else self.full_name

    @property
    def full_name(self) -> str:
        """The class by its module."""
        return f'{self.cls.__module__}.{self.cls.__name__}'

    @property
    def part(self) -> str:
        """The part of the model that it is: one of ``PARTS``, or ``'shared_head'``, the last stage of a C4 backbone."""
        return part_of(self.keys)

    @property
    def has_se(self) -> bool:
        """Whether it is an SE network, or has the SE plugin."""
        plugins = [plugin.get('cfg', {}) for plugin in self.config.get('plugins') or ()]
        return inherits(self.cls, WITH_SE) or any(type_name(plugin).endswith('SELayer') for plugin in plugins)

    def native(self, scope: str | None) -> tuple[str, int, int]:
        """The attention that it has by itself: the class, at how many sites it stands, and how many sites there are."""
        try:
            with MODELS.switch_scope_and_registry(scope) as registry, shapes_only():
                plain = registry.build(copy.deepcopy(self.config))
        except Exception:  # whatever a host may raise; its twin will too, and is refused with that
            return '', 0, 0
        sites = list(find_adapter(self.cls).sites(plain))
        own = [getattr(site.parent, site.native) for site in sites if site.native]
        return (type(own[0]).__name__ if own else ''), len(own), len(sites)

    @property
    def is_teacher(self) -> bool:
        """Whether it is a teacher, which is given, trained, by a checkpoint of its own."""
        return any(str(key).startswith('teacher') for key in self.keys)


def find_hosts(cfg: Config, parts: Sequence[str] = ('backbone',)) -> list[Host]:
    """The networks of a config's model that attention can be put into, wherever they stand.

    With a backbone the ``shared_head`` of a C4 detector is found too, which is its last stage.

    Raises:
        SeMmError: if there is none; the message says what stands in its place, and what could.

    Example:
        >>> cfg = Config(dict(default_scope='mmdet', model=dict(detector=dict(backbone=dict(type='ResNet', depth=18)))))
        >>> [(host.name, host.type) for host in find_hosts(cfg)]
        [('model.detector.backbone', 'mmdet.ResNet')]
    """
    model = cfg.get('model')
    if not isinstance(model, Mapping):
        raise SeMmError('there is no `model = dict(...)` in the config, and so no backbone to swap')
    found, others = [], []
    scope = scope_of(cfg)
    for keys, node in nodes(model, ('model',)):
        part = part_of(keys)
        named = part in parts or ('backbone' in parts and part not in PARTS and ('depth' in node or 'arch' in node))
        if 'type' not in node or not named:
            continue
        cls = _class_of(node, node.get('_scope_') or scope)
        if cls is not None and (find_adapter(cls) or inherits(cls, WITH_SE)):
            found.append(Host(keys, node, cls))
        elif part in parts:
            reason = ', which no registry knows' if cls is None else f' ({unsuited(cls)})' if unsuited(cls) else ''
            others.append(f'{dotted(keys)} is {getattr(node["type"], "__name__", node["type"])}{reason}')
    if not found:
        what = ' or '.join(parts)
        raise SeMmError(
            f'no {what} that can be swapped: {"; ".join(others) or f"the model has no {what}"}. '
            f'Attention can be put into {SWAPPABLE}; into other modules by their names '
            "(type='se_mm.SETwin', attention_sites=[...])"
        )
    return found


def part_of(keys: Keys) -> str:
    """What a module is in a model, by its keys.

    Example:
        >>> part_of(('model', 'detector', 'backbone')), part_of(('model', 'neck', 1))
        ('backbone', 'neck')
    """
    name = next((key for key in reversed(keys) if isinstance(key, str)), '')
    return 'backbone' if 'backbone' in name else name


def scope_of(cfg: Config) -> str | None:
    """The registry's scope that the types of a model belong to."""
    return cfg.model.get('_scope_') or cfg.get('default_scope')


def _class_of(node: Mapping[str, Any], scope: str | None) -> type | None:
    kind = node['type']
    if isinstance(kind, str):
        with MODELS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    return kind if isinstance(kind, type) else None
