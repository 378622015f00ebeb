"""The package as others meet it: names in configs, configs by name, a wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from support.helpers import REPOSITORY

import se_mm
from se_mm.config.load import load_config
from se_mm.swap.building import shapes_only

#: Those of ImageNet are built by the tests of tests/config, which count their parameters.
CONFIGS = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (REPOSITORY / 'configs').glob('**/*.py')
    if '_base_' not in path.parts and 'imagenet' not in path.name
)


def test_type_resolves_in_every_scope_without_custom_imports():
    code = """
import importlib, se_mm
for scope in ('mmengine', 'mmdet', 'mmpretrain'):
    models = importlib.import_module(f'{scope}.registry').MODELS
    print(type(models.build(dict(type='se_mm.SEResNet', depth=18))).__module__)
    print(type(models.build(dict(type='se_mm.SEResNeXt', depth=50, groups=32))).__name__)
    print(type(models.build(dict(type='se_mm.SELayer', in_channels=64))).__name__)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.split()[-9:] == 3 * ['se_mm.models.backbones.seresnet', 'SEResNeXt', 'SELayer'], done.stderr


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_builds_its_backbone(name):
    cfg = load_config(str(REPOSITORY / name))
    backbone = cfg.model.backbone
    scope = cfg.default_scope
    with MODELS.switch_scope_and_registry(scope) as registry, shapes_only():
        built = registry.build({**backbone, 'init_cfg': None})
    assert any(True for _ in built.parameters())
    if hasattr(built, 'depth'):
        assert built.depth == backbone.depth


def test_another_project_inherits_by_name(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'se_mm::faster_rcnn_se_r50_coco.py'\n")
    (tmp_path / 'theirs.py').write_text("_base_ = 'se_mm::_base_/../faster_rcnn_se_r50_coco.py'\n")
    assert load_config(str(tmp_path / 'mine.py')).model.backbone.type == 'se_mm.SEResNet'
    assert Config.fromfile(tmp_path / 'theirs.py').model.backbone.type == 'se_mm.SEResNet'  # by mmengine alone
    with pytest.raises(ValueError, match='relative config path'):
        Config.fromfile(tmp_path / 'mine.py')
    assert load_config('se_mm::demo/faster_rcnn_se_r18_shapes.py').model.backbone.depth == 18


def test_a_wheel_carries_the_configs(tmp_path):
    options = ['-q', '--no-deps', '--no-build-isolation', '-w', str(tmp_path), '.']
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', *options], cwd=REPOSITORY, check=True, capture_output=True)
    (wheel,) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'installed')
    (tmp_path / 'mine.py').write_text("_base_ = 'se_mm::faster_rcnn_se_r50_coco.py'\n")
    code = (
        f'import sys; sys.path.insert(0, {str(tmp_path / "installed")!r}); import se_mm; '
        'from se_mm.config.load import load_config; print(se_mm.__file__); '
        "print(load_config('mine.py').model.backbone.type)"
    )
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / 'installed/se_mm/__init__.py'), 'se_mm.SEResNet'], done.stderr
    (scripts,) = (tmp_path / 'installed').glob('*.dist-info/entry_points.txt')
    assert 'se-mm = se_mm.cli:se_mm' in scripts.read_text()
    command = [sys.executable, '-m', 'se_mm', 'swap', 'se_mm::faster_rcnn_r50_coco.py', '-o', 'twin.py']
    environment = os.environ | {'PYTHONPATH': str(tmp_path / 'installed')}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert 'se_mm.SEResNet' in (tmp_path / 'twin.py').read_text()


def test_data_root_replaces_every_path_into_the_data():
    cfg = load_config(str(REPOSITORY / 'configs/faster_rcnn_se_r50_coco.py'), data_root='/elsewhere')
    assert cfg.train_dataloader.dataset.data_root == '/elsewhere/'
    assert cfg.test_dataloader.dataset.data_root == '/elsewhere/'
    assert cfg.val_evaluator.ann_file == '/elsewhere/annotations/instances_val2017.json'
    assert 'data/coco' not in cfg.pretty_text


def test_the_table_of_faults_names_every_fault_that_is_injected(request):
    from support.reliability import rows_of

    table = (REPOSITORY / 'docs/reliability.md').read_text()
    missing = {
        row for item in request.session.items for row in rows_of(item) if f'| {row[0]} | {row[1]} |' not in table
    }
    assert not missing, f'`make soak` writes docs/reliability.md: {missing}'


def test_dir_shows_the_public_names():
    assert sorted(dir(se_mm)) == sorted(se_mm.__all__)
