"""Any value for any key of a config: a training, or one message."""

from __future__ import annotations

import math
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from support.small import run, scene_config

from se_mm import SeMmError
from se_mm.config.options import merge_options
from se_mm.datasets.validation import preflight
from se_mm.errors import RunError


def leaves(node, key=''):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    if key and not items:
        yield key
    for name, value in items:
        yield from leaves(value, f'{key}.{name}' if key else str(name))


# The folder and the launcher are the test's; a file that is loaded and code that is imported have tests of their own.
KEPT = ('work_dir', 'launcher', 'load_from', 'custom_imports', 'default_hooks.visualization', 'visualizer')
KEPT += ('vis_backends',)
KEYS = sorted(key for key in leaves(ConfigDict(scene_config('data', 'out')._cfg_dict)) if not key.startswith(KEPT))
VALUES = [0, -1, 1, 2, 0.5, math.nan, 'abc', '', None, [], [1, 2], [2, 2, 2, 2], True, False, {}, {'type': 'abc'}]


def trains_or_says_why(scenes, folder, options) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    cfg = scene_config(scenes, folder, 2)
    try:
        merge_options(cfg, options)
        preflight.check(cfg, ('train', 'val'))
        runner = run(cfg)
    except (SeMmError, RunError) as error:
        return str(error)
    assert runner.iter > 0
    return ''


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'train_cfg.max_iters': 0}, 'this training has no iteration'),
        ({'train_dataloader.drop_last': True, 'train_dataloader.batch_size': 99}, 'this training has no iteration'),
        ({'train_dataloader.dataset.indices': 0}, 'nothing is left'),
        ({'train_dataloader.batch_size': 0}, 'batch_size'),
        ({'train_cfg.val_interval': 0}, 'val_interval is 0'),
        ({'model.backbone.depth': 17}, '17'),
        ({'model.head.in_channels': 3}, 'model.head.in_channels expects 3 channels and is given 128'),
        ({'optim_wrapper.optimizer.type': 'Adm'}, 'did you mean Adam'),
        ({'optim_wrapper.optimizer.lr': math.nan}, ''),
        ({'val_dataloader.dataset.pipeline.1.scale': math.nan}, 'cannot convert float NaN'),  # in the first validation
        ({'randomness.seed': -1}, 'Seed must be between'),  # raised in a compiled module
        ({'default_scope': ''}, "default_scope is ''"),
        (
            {'default_hooks.checkpoint.save_best': 'a/topl', 'default_hooks.checkpoint.rule': 'less'},
            'save_best is a/topl',
        ),
        ({'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='a/topl')]}, 'param_scheduler.monitor is a/topl'),
    ],
)
@pytest.mark.fault('options that leave nothing to train on, or do not fit', 'one message')
@pytest.mark.fault('a metric to wait for that no validation gives', 'one message with those that it gives, status 2')
def test_options_that_do_not_fit(scenes, tmp_path, options, message):
    said = trains_or_says_why(scenes, tmp_path / 'out', {'train_cfg.val_interval': 1} | options)
    assert message in said
    assert bool(said) == bool(message)


@pytest.mark.soak
@pytest.mark.fault('any value for any key of a config (hypothesis)', 'a training, or one message')
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(options=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), min_size=1, max_size=2))
def test_any_option(scenes, tmp_path_factory, options):
    trains_or_says_why(scenes, tmp_path_factory.getbasetemp() / 'fuzzed', options)
