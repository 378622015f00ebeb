"""The families of hosts that attention can be put into, one adapter each; nothing else imports them."""

from __future__ import annotations

from torch import nn

from ...errors import SeMmError
from .cifar_networks import PreActAdapter, ShakeAdapter
from .conv_modules import ShuffleNetV1Adapter, VGGAdapter
from .inception import BNInceptionAdapter, InceptionResNetV2Adapter, InceptionV3Adapter
from .mobilenet import MobileNetV1Adapter
from .residual import ResidualAdapter
from .sites import HostAdapter, inherits
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
)


def find_adapter(host: nn.Module | type[nn.Module]) -> HostAdapter | None:
    """The adapter of a host or of its class; ``None`` where no family has it."""
    cls = host if isinstance(host, type) else type(host)
    return next((adapter for adapter in ADAPTERS if inherits(cls, adapter.classes)), None)


def adapter_of(host: nn.Module) -> HostAdapter:
    """The adapter of a host; a network with ``res_layers`` that no family has is a residual one of the user's own.

    Raises:
        SeMmError: if there is none, or the host lacks what it needs.
    """
    adapter = find_adapter(host) or (ResidualAdapter() if hasattr(host, 'res_layers') else None)
    if adapter is None:
        raise SeMmError(f'{type(host).__name__} cannot be a host: se_mm knows no insertion sites in it')
    adapter.check(host)
    return adapter
