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

DATASETS = Registry(
    'dataset',
    parent=mmengine_registry.DATASETS,
    scope='se_mm',
    locations=['se_mm.datasets.places365', 'se_mm.datasets.cifar'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=mmengine_registry.DATA_SAMPLERS,
    scope='se_mm',
    locations=['se_mm.engine.repeatable'],
)
HOOKS = Registry(
    'hook',
    parent=mmengine_registry.HOOKS,
    scope='se_mm',
    locations=['se_mm.engine.repeatable', *(f'se_mm.engine.hooks.{name}' for name in _HOOKS)],
)
LOOPS = Registry('loop', parent=mmengine_registry.LOOPS, scope='se_mm', locations=['se_mm.engine.loops'])
METRICS = Registry(
    'metric', parent=mmengine_registry.METRICS, scope='se_mm', locations=['se_mm.evaluation.top_k_error']
)
MODELS = Registry('model', parent=mmengine_registry.MODELS, scope='se_mm', locations=['se_mm.models.registered'])
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=mmengine_registry.OPTIM_WRAPPERS,
    scope='se_mm',
    locations=['se_mm.engine.optim_wrappers'],
)
TRANSFORMS = Registry(
    'transform',
    parent=mmengine_registry.TRANSFORMS,
    scope='se_mm',
    locations=[f'se_mm.datasets.transforms.{name}' for name in ('crops', 'jitter', 'loading')],
)
