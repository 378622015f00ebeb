"""Only a config is code: no checkpoint, data file, option or name leads to code or to a write elsewhere."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import mmengine
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from support.commands import tool
from support.small import draw_scenes, run, scene_config

from se_mm import SeMmError
from se_mm.config.load import load_config

CONFIG = 'configs/demo/se_resnet18_scenes.py'


class Exploit:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.fixture
def target(tmp_path):
    path = tmp_path / 'code_was_run'
    yield path
    assert not path.exists()


@pytest.mark.parametrize('where', ['alone', 'in meta', 'in the weights', 'in the message hub'])
@pytest.mark.fault('a checkpoint that is a malicious pickle', 'refused, nothing is run')
def test_a_checkpoint(target, tmp_path, where):
    exploit = Exploit(target)
    content = {
        'alone': exploit,
        'in meta': {'meta': {'epoch': 1, 'iter': 1, 'x': exploit}, 'state_dict': {}, 'message_hub': {}},
        'in the weights': {'state_dict': {'backbone.conv1.weight': exploit}},
        'in the message hub': {
            'meta': {'epoch': 1, 'iter': 1},
            'state_dict': {},
            'message_hub': {'log_scalars': exploit},
        },
    }
    file = tmp_path / 'epoch_1.pth'
    torch.save(content[where], file)
    for arguments in (['--resume', file], ['--cfg-options', f'load_from={file}']):
        root = tmp_path / 'scenes'
        if not root.exists():
            draw_scenes(root)
        done = tool('train', CONFIG, '--data-root', root, '--classes', '--work-dir', tmp_path / 'a', *arguments)
        assert done.returncode == 2
        assert 'could run code; refused' in done.stderr
        assert 'Traceback' not in done.stderr
        if where != 'alone':
            break


@pytest.mark.fault('an annotation or proposal file that is a malicious pickle', 'refused, nothing is run')
def test_a_pickle_in_the_place_of_annotations(target, tmp_path):
    file = tmp_path / 'proposals.pkl'
    file.write_bytes(pickle.dumps(Exploit(target)))
    with pytest.raises(SeMmError, match='a pickle asks for posix.mkdir'):
        mmengine.load(str(file))


@pytest.mark.fault('a YAML file that asks for code', 'refused, nothing is run')
def test_yaml(target, tmp_path):
    file = tmp_path / 'a.yaml'
    file.write_text(f'!!python/object/apply:os.mkdir ["{target}"]')
    with pytest.raises(Exception, match='could not determine a constructor'):
        mmengine.load(str(file))


def test_plain_pickles_are_read(tmp_path):
    boxes = InstanceData(bboxes=torch.rand(3, 4), scores=np.float32(0.5).repeat(3))
    file = tmp_path / 'a.pkl'
    mmengine.dump(
        {'a.jpg': boxes, 'n': [1, (2.5, None)], 'x': np.arange(6).reshape(2, 3), 's': np.float64(2)}, str(file)
    )
    read = mmengine.load(str(file))
    assert torch.equal(read['a.jpg'].bboxes, boxes.bboxes)
    assert read['x'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (read['n'], read['s']) == ([1, (2.5, None)], 2.0)


@pytest.mark.parametrize(
    'options',
    [
        {'model.backbone.type': 'os.system'},
        {'model.backbone.type': 'subprocess.Popen'},
        {'model': {'backbone': {'type': 'builtins.eval'}}},
        {'model.backbone.type': 'se_mm.cli.arguments.os.system'},
        {'train_dataloader.worker_init_fn': {'type': 'os.mkdir'}},
        {'custom_hooks': [{'type': 'antigravity.X'}]},
        {'custom_hooks': [{'type': 'antigravity'}]},
        {'model.backbone._scope_': 'a.b'},
        {'runner_type': 'os.system'},
        {'optim_wrapper.constructor': 'os.system'},
        {'default_scope': 'antigravity'},
    ],
)
@pytest.mark.fault('--cfg-options with the path of a function as a type', 'refused, nothing is imported')
def test_a_type_on_the_command_line(options):
    with pytest.raises(SeMmError, match='named by a path would be run as code'):
        load_config(CONFIG, options)


def test_registered_types_on_the_command_line():
    cfg = load_config(CONFIG, {'model.backbone.type': 'mmdet.ResNet', 'optim_wrapper.optimizer.type': 'Adam'})
    assert cfg.model.backbone.type == 'mmdet.ResNet'


@pytest.mark.fault('a resumed checkpoint that names files elsewhere as its older ones', 'they are not removed')
def test_a_checkpoint_that_names_files_elsewhere(tmp_path):
    root = draw_scenes(tmp_path / 'scenes')
    precious = tmp_path / 'precious.pth'
    precious.write_bytes(b'weights')
    options = {'default_hooks.checkpoint.save_best': 'accuracy/top1', 'train_cfg.val_interval': 2}
    run(scene_config(root, tmp_path / 'a', 2, **options))
    state = torch.load(tmp_path / 'a' / 'iter_2.pth', weights_only=True)
    state['message_hub']['runtime_info'].update(best_ckpt=str(precious), best_score=-1.0)
    torch.save(state, tmp_path / 'a' / 'iter_2.pth')
    cfg = scene_config(root, tmp_path / 'a', 4, **options)
    cfg.update(resume=True, load_from=str(tmp_path / 'a' / 'iter_2.pth'))
    run(cfg)
    assert precious.read_bytes() == b'weights'


@pytest.mark.fault('symbolic links in the work_dir under the names of our files', 'replaced, not followed')
def test_symbolic_links_in_the_work_dir(tmp_path):
    root = draw_scenes(tmp_path / 'scenes')
    work_dir = tmp_path / 'a'
    work_dir.mkdir()
    names = [
        'iter_2.pth',
        'last_checkpoint',
        'validations.json',
        'curves.png',
        'skipped_data.jsonl',
        'se_resnet18_scenes.py',
    ]
    for name in names:
        (tmp_path / f'elsewhere_{name}').write_text('untouched')
        (work_dir / name).symlink_to(tmp_path / f'elsewhere_{name}')
    (root / 'train' / 'left' / '0.png').write_bytes(b'')
    run(
        scene_config(
            root, work_dir, 2, hooks=[dict(type='se_mm.CurvesHook'), dict(type='se_mm.SkippedDataHook', most=1)]
        )
    )
    for name in names:
        assert (tmp_path / f'elsewhere_{name}').read_text() == 'untouched', name


@pytest.mark.fault('an image whose name begins with two dots', 'nothing is written there')
def test_names_that_lead_out_of_a_folder(tmp_path):
    (tmp_path / 'images').mkdir()
    secret = tmp_path / 'images' / '..hidden.png'
    cv2.imwrite(str(secret), np.zeros((8, 8, 3), np.uint8))
    from se_mm.apis.inference import find_images

    out = tmp_path / 'out' / 'vis'
    for name in find_images([str(tmp_path / 'images')]):
        assert (out / f'{Path(name).stem}.png').resolve().parent == out
