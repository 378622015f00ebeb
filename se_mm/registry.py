"""The ``se_mm`` scope: what a config names as ``type='se_mm.X'``.

mmengine imports ``<scope>.registry`` by itself when it meets a scope that it does not know,
and a child registry imports its ``locations`` on the first look-up. So the names resolve in
mmdet's and mmpretrain's configs, and in bare mmengine, without ``custom_imports``.
"""

from __future__ import annotations

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

_HOOKS = (
    'checkpoint',
    'compile',
    'curves',
    'frozen_norms',
    'nonfinite',
    'pictures',
    'predictions',
    'preemption',
    'progress',
    'skipped_data',
)


def _child_of(parent: Registry, *modules: str) -> Registry:
    """A registry of ours below one of mmengine's, and the modules of this package that fill it."""
    return Registry(parent.name, parent=parent, scope='se_mm', locations=[f'se_mm.{module}' for module in modules])


DATASETS = _child_of(mmengine_registry.DATASETS, 'datasets.places365', 'datasets.cifar', 'datasets.imagenet')
DATA_SAMPLERS = _child_of(mmengine_registry.DATA_SAMPLERS, 'engine.repeatable')
HOOKS = _child_of(mmengine_registry.HOOKS, 'engine.repeatable', *(f'engine.hooks.{name}' for name in _HOOKS))
LOOPS = _child_of(mmengine_registry.LOOPS, 'engine.loops')
METRICS = _child_of(mmengine_registry.METRICS, 'evaluation.top_k_error')
MODELS = _child_of(mmengine_registry.MODELS, 'models.registered')
OPTIM_WRAPPERS = _child_of(mmengine_registry.OPTIM_WRAPPERS, 'engine.optim_wrappers')
TRANSFORMS = _child_of(
    mmengine_registry.TRANSFORMS,
    'datasets.transforms.crops',
    'datasets.transforms.jitter',
    'datasets.transforms.loading',
)
