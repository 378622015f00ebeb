"""The families of hosts that attention can be put into, one adapter each; nothing else imports them."""

from __future__ import annotations

import re

from torch import nn

from ...errors import SeMmError
from ..composed import plain_class
from .blocks import BlocksAdapter, kind_of
from .cifar_networks import PreActAdapter, ShakeAdapter
from .conv_modules import NeckAdapter, ShuffleNetV1Adapter, SSDVGGAdapter, VGGAdapter
from .inception import BNInceptionAdapter, InceptionResNetV2Adapter, InceptionV3Adapter
from .mobilenet import MobileNetV1Adapter
from .residual import NestedResidualAdapter, ResidualAdapter, SharedHeadAdapter
from .sites import HostAdapter, full_name, inherits
from .timm_slots import TimmRegNetAdapter, TimmSlotsAdapter

#: Asked in this order.
ADAPTERS: tuple[HostAdapter, ...] = (
    ResidualAdapter(),
    PreActAdapter(),
    ShakeAdapter(),
    VGGAdapter(),
    BNInceptionAdapter(),
    InceptionV3Adapter(),
    InceptionResNetV2Adapter(),
    MobileNetV1Adapter(),
    TimmSlotsAdapter(),
    TimmRegNetAdapter(),
    ShuffleNetV1Adapter(),
    NestedResidualAdapter(),
    SharedHeadAdapter(),
    BlocksAdapter(),
    SSDVGGAdapter(),
    NeckAdapter(),
)


_THREE_BRANCHES = 'three branches are summed before the activation, and re-parametrised into one convolution'
#: Classes without insertion sites, or whose sites attention does not suit, and why.
UNSUITED = {
    'mmpretrain.models.backbones.repvgg.RepVGG': f'{_THREE_BRANCHES}; its own se_cfg has SE behind the sum',
    'mmpretrain.models.backbones.mobileone.MobileOne': f'{_THREE_BRANCHES}; its own se_cfg has SE behind the sum',
    **dict.fromkeys(
        (
            'mmpretrain.models.backbones.sparse_resnet.SparseResNet',
            'mmpretrain.models.backbones.sparse_convnext.SparseConvNeXt',
        ),
        'it computes on a part of the map, and the squeeze would average over the masked rest',
    ),
}
#: In the names of the libraries' modules with transformers.
_TRANSFORMERS = re.compile('vit|vision|swin|former|pvt|deit|beit|mixer|mixmim|twins|tnt|xcit')


def unsuited(cls: type) -> str:
    """Why attention over channels does not suit a network of a library; empty where nothing is known against it."""
    library, _, module = cls.__module__.rpartition('.')
    if library.startswith(('mmdet.', 'mmpretrain.')) and _TRANSFORMERS.search(module):
        return 'its units are of transformers and give tokens, not maps'
    return UNSUITED.get(full_name(cls), '')


def find_adapter(host: nn.Module | type[nn.Module]) -> HostAdapter | None:
    """The adapter of a host or of its class; ``None`` where no family has it."""
    cls = host if isinstance(host, type) else type(host)
    return None if unsuited(cls) else next((adapter for adapter in ADAPTERS if inherits(cls, adapter.classes)), None)


def adapter_of(host: nn.Module) -> HostAdapter:
    """The adapter of a host; one of the user's own that no family has is known by its
    ``res_layers``, as a residual one, or by its blocks.

    Raises:
        SeMmError: if there is none, or the host lacks what it needs.
    """
    adapter = find_adapter(host) or (ResidualAdapter() if hasattr(host, 'res_layers') else None)
    if adapter is None and any(map(kind_of, host.modules())):
        adapter = BlocksAdapter()
    if adapter is None:
        reason = unsuited(plain_class(host)) or 'se_mm knows no insertion sites in it'
        raise SeMmError(f'{type(host).__name__} cannot be a host: {reason}; attention_sites=[...] names modules of it')
    adapter.check(host)
    return adapter
