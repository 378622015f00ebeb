"""Finding the networks in a config that attention can be put into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS

from ..config.tree import Keys, dotted, nodes
from ..errors import SeMmError
from ..models.hosts.adapters import find_adapter
from ..models.hosts.sites import WITH_SE, inherits
from ..utils.type_names import type_name

#: Networks with insertion sites that SE does not suit, and why.
UNSUITED = {
    'mmpretrain.models.backbones.sparse_resnet.SparseResNet': (
        'it computes on a part of the map, and the squeeze would average over the masked rest'
    )
}
SWAPPABLE = (
    'ResNet, ResNeXt, ResNetV1c, ResNetV1d, Res2Net, ResNeSt, RegNet of mmdet and mmpretrain, '
    "mmdet's TridentResNet, DetectoRS_ResNet and DetectoRS_ResNeXt, mmpretrain's ResNet_CIFAR, VGG, InceptionV3 and "
    'ShuffleNetV1, and what inherits them'
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
            return f'{package}.{self.cls.__name__}'
        return self.config['type'] if isinstance(self.config['type'], str) else self.full_name

    @property
    def full_name(self) -> str:
        """The class by its module."""
        return f'{self.cls.__module__}.{self.cls.__name__}'

    @property
    def has_se(self) -> bool:
        """Whether it is an SE network, or has the SE plugin."""
        plugins = [plugin.get('cfg', {}) for plugin in self.config.get('plugins') or ()]
        return inherits(self.cls, WITH_SE) or any(type_name(plugin).endswith('SELayer') for plugin in plugins)

    @property
    def is_teacher(self) -> bool:
        """Whether it is a teacher, which is given, trained, by a checkpoint of its own."""
        return any(str(key).startswith('teacher') for key in self.keys)


def find_hosts(cfg: Config) -> list[Host]:
    """The networks of a config's model that attention can be put into, wherever they stand.

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
        if 'type' not in node or not ('backbone' in str(keys[-1]) or 'depth' in node or 'arch' in node):
            continue
        cls = _class_of(node, node.get('_scope_') or scope)
        if cls is not None and (find_adapter(cls) or inherits(cls, WITH_SE)):
            found.append(Host(keys, node, cls))
        elif 'backbone' in str(keys[-1]):
            unknown = '' if cls is not None else ', which no registry knows'
            others.append(f'{dotted(keys)} is {getattr(node["type"], "__name__", node["type"])}{unknown}')
    if not found:
        raise SeMmError(
            f'no backbone that can be swapped: {"; ".join(others) or "the model has no backbone"}. '
            f'SE can be put into {SWAPPABLE}'
        )
    return found


def scope_of(cfg: Config) -> str | None:
    """The registry's scope that the types of a model belong to."""
    return cfg.model.get('_scope_') or cfg.get('default_scope')


def _class_of(node: Mapping[str, Any], scope: str | None) -> type | None:
    kind = node['type']
    if isinstance(kind, str):
        with MODELS.switch_scope_and_registry(scope) as registry:
            kind = registry.get(kind)
    return kind if isinstance(kind, type) else None
