"""The ``se_mm`` scope: what a config names as ``type='se_mm.X'``.

mmengine imports ``<scope>.registry`` by itself when it meets a scope that it does not know,
and a child registry imports its ``locations`` on the first look-up. So the names resolve in
mmdet's and mmpretrain's configs, and in bare mmengine, without ``custom_imports``.
"""

from __future__ import annotations

from mmengine import registry as mmengine_registry
from mmengine.registry import Registry

DATASETS = Registry('dataset', parent=mmengine_registry.DATASETS, scope='se_mm', locations=['se_mm.datasets.places365'])
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=mmengine_registry.DATA_SAMPLERS,
    scope='se_mm',
    locations=['se_mm.training.repeatable'],
)
HOOKS = Registry(
    'hook',
    parent=mmengine_registry.HOOKS,
    scope='se_mm',
    locations=[
        'se_mm.hooks',
        'se_mm.training.checkpoints',
        'se_mm.training.loops',
        'se_mm.training.nonfinite',
        'se_mm.training.preemption',
    ],
)
LOOPS = Registry('loop', parent=mmengine_registry.LOOPS, scope='se_mm', locations=['se_mm.training.loops'])
METRICS = Registry('metric', parent=mmengine_registry.METRICS, scope='se_mm', locations=['se_mm.metrics'])
MODELS = Registry('model', parent=mmengine_registry.MODELS, scope='se_mm', locations=['se_mm.models'])
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=mmengine_registry.OPTIM_WRAPPERS,
    scope='se_mm',
    locations=['se_mm.training.nonfinite'],
)
TRANSFORMS = Registry(
    'transform',
    parent=mmengine_registry.TRANSFORMS,
    scope='se_mm',
    locations=['se_mm.datasets.crops', 'se_mm.datasets.loading'],
)
