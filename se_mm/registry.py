"""The ``se_mm`` scope: what a config names as ``type='se_mm.X'``.

mmengine imports ``<scope>.registry`` by itself when it meets a scope that it does not know,
and a child registry imports its ``locations`` on the first look-up. So the names resolve in
mmdet's and mmpretrain's configs, and in bare mmengine, without ``custom_imports``.
"""

from __future__ import annotations

from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import Registry

HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope='se_mm', locations=['se_mm.hooks'])
MODELS = Registry('model', parent=MMENGINE_MODELS, scope='se_mm', locations=['se_mm.models'])
