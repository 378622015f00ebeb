"""Every model that a config can name with the ``se_mm.`` prefix, in one table."""

from __future__ import annotations

from ..registry import MODELS
from . import backbones
from .attention import LAYERS
from .heads import DropoutHead, TimmHead

for _model in (*LAYERS.values(), DropoutHead, TimmHead, *(getattr(backbones, name) for name in backbones.__all__)):
    MODELS.register_module(module=_model)
