"""Every model that a config can name with the ``se_mm.`` prefix, in one table."""

from __future__ import annotations

from ..registry import MODELS
from .attention import LAYERS
from .backbones import SEResNet, SEResNeXt, SETwin

for _model in (*LAYERS.values(), SEResNet, SEResNeXt, SETwin):
    MODELS.register_module(module=_model)
