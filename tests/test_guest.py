"""``import se_mm`` adds its names to others' tables and changes nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

#: All that may differ after the import.
ADDED = {
    # one dictionary under three names
    "mmengine.config.utils.MODULE2PACKAGE['se_mm']",
    "mmengine.config.utils.PKG2PROJECT['se_mm']",
    "mmengine.registry.registry.MODULE2PACKAGE['se_mm']",
    # register_scheme sorts the schemes into a new dictionary
    'mmengine.runner.checkpoint.CheckpointLoader._schemes',
    "mmengine.runner.checkpoint.CheckpointLoader._schemes['timm://']",
    # the finder for mmcv._ext
    'sys.meta_path',
}

SNAPSHOT = """
import builtins, codecs, copyreg, importlib, json, logging, os, pickle, signal, sys, types, warnings
MODULES = ['torch', 'pickle', 'json', 'yaml', 'mmengine', 'mmengine.fileio', 'mmengine.runner', 'mmengine.hooks']
MODULES += ['mmcv', 'mmcv.transforms', 'mmdet.registry']
for name in MODULES:
    importlib.import_module(name)
OTHERS = ('mmengine', 'mmcv', 'mmdet', 'torch', 'torchvision', 'json', 'pickle', 'yaml', 'numpy', 'pycocotools')
STANDARD = (builtins, codecs, copyreg, importlib, logging, os, signal, warnings)

def flat(name, value, depth, found):
    '''The identity of each entry of tables and of each attribute of classes that a package defines.'''
    found[name] = id(value)
    if isinstance(value, (int, float, str, bytes, bool, tuple)):
        found[name] = repr(value) if not isinstance(value, tuple) else id(value)
    if depth == 0:
        return
    if isinstance(value, dict):
        for key, item in list(value.items()):
            flat(f'{name}[{key!r}]', item, depth - 1, found)
    elif isinstance(value, (list, set, frozenset)):
        found[name + ':items'] = [id(item) for item in value]
    elif isinstance(value, type) and value.__module__ == name.rpartition('.')[0]:
        for key, item in list(vars(value).items()):
            joint = f'{name}.{key}'
            flat(joint, item, depth - 1 if isinstance(item, (dict, list)) else 0, found)
    elif type(value).__name__ == 'Registry':
        flat(name + '.children', value.children, 1, found)
        flat(name + '._module_dict', value._module_dict, 1, found)

def snapshot():
    modules = {name: module for name, module in sys.modules.items() if name.split('.')[0] in OTHERS}
    modules.update((module.__name__, module) for module in STANDARD)
    found = {}
    for name, module in modules.items():
        for key, value in list(vars(module).items()) if isinstance(module, types.ModuleType) else ():
            flat(f'{name}.{key}', value, 2, found)
    found['sys.meta_path'] = list(map(id, sys.meta_path))
    found['sys.path_hooks'] = list(map(id, sys.path_hooks))
    found['sys.excepthook'] = id(sys.excepthook)
    found['signals'] = [repr(signal.getsignal(number)) for number in signal.valid_signals()]
    found['filters'] = repr(warnings.filters)
    found['environment'] = dict(os.environ)
    found['safe globals'] = sorted(map(repr, torch.serialization.get_safe_globals()))
    found['modules'] = sorted(modules)
    return found

import torch
before = snapshot()
import se_mm
after = snapshot()
changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
print(json.dumps([len(before), changed]))
"""


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, timeout=300, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] if done.stdout else ''


def test_the_import_adds_names_and_changes_nothing_else():
    count, changed = json.loads(python(SNAPSHOT))
    assert count > 20_000
    assert {name.removesuffix(':items') for name in changed} == ADDED


@pytest.mark.parametrize(
    ('module', 'without'),
    [
        ('se_mm', {'torch', 'numpy', 'mmengine', 'mmcv', 'mmdet'}),
        ('se_mm.models.attention', {'mmengine', 'mmcv', 'mmdet', 'mmpretrain', 'timm', 'matplotlib'}),
    ],
)
def test_what_an_import_alone_leaves_out(module, without):
    loaded = python(f'import sys, {module}; print(*{{name.split(".")[0] for name in sys.modules}})').split()
    assert not without & set(loaded)


@pytest.mark.parametrize('order', ['import se_mm, mmengine.runner', 'import mmengine.runner, se_mm'])
def test_names_are_there_in_either_order_of_import(order):
    code = f"""
{order}
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.runner import CheckpointLoader
print(MODULE2PACKAGE['se_mm'], CheckpointLoader._schemes['timm://'].__module__)
"""
    assert python(code).split() == ['se_mm', 'se_mm.weights.timm_scheme']


def test_watched_modules_keep_their_specs_and_can_be_reloaded():
    code = """
import importlib, importlib.util, inspect
import se_mm
found = importlib.util.find_spec('mmengine.runner.checkpoint')
assert found.loader.get_source(found.name).startswith('#'), found
from mmengine.runner import checkpoint
assert type(checkpoint.__loader__).__name__ == type(checkpoint.__spec__.loader).__name__ == 'SourceFileLoader'
assert checkpoint.__spec__.origin == checkpoint.__file__ and checkpoint.__spec__.has_location
assert 'def load_checkpoint' in inspect.getsource(checkpoint)
again = importlib.reload(checkpoint)
print('timm://' in again.CheckpointLoader._schemes)
"""
    assert python(code) == 'True'


def test_a_variable_leaves_mmcvs_operators_alone():
    code = """
import importlib.util, se_mm
from se_mm.compat import mmcv_ext
spec = importlib.util.find_spec('mmcv._ext')
print(spec is not None and isinstance(spec.loader, mmcv_ext._ExtLoader))
"""
    assert [python(code, SE_MM_MMCV_EXT=value) for value in ('0', '1')] == ['False', 'True']
