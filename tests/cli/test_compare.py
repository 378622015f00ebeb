"""tools/compare.py as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import CAN_FORK, tool
from support.helpers import REPOSITORY
from support.small import NO_WORKERS, draw_scenes

from se_mm import SeMmError, cli
from se_mm.analysis.comparison import trainings

CONFIGS = [str(REPOSITORY / f'configs/demo/{name}.py') for name in ('resnet18_scenes', 'se_resnet18_scenes')]
SMALL = [
    *NO_WORKERS,
    'model.backbone.base_channels=16',
    'model.backbone.stem_channels=16',
    'model.head.in_channels=128',
]
SMALL += ['default_hooks.checkpoint.max_keep_ckpts=2', 'train_cfg.val_interval=1', 'custom_hooks=[]']
SMALL += [f'{split}_dataloader.dataset.pipeline.1.scale=32' for split in ('train', 'val', 'test')]
SMALL += [f'{split}_dataloader.dataset.pipeline.2.crop_size=32' for split in ('val', 'test')]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory) -> Path:
    return draw_scenes(tmp_path_factory.mktemp('scenes') / 'data', train=8, val=6)


def compare(scenes: Path, work_dir: Path, monkeypatch, *more: str) -> list[list[str]]:
    """Runs the tool in this process, its trainings in forks; returns what it started."""
    started = []

    def start(arguments, variables, console):
        started.append(arguments)
        done = tool(arguments[0], *arguments[1:], **variables, fresh=not CAN_FORK)
        with console.open('a') as file:
            file.write(done.stdout + done.stderr)
        return done.returncode

    monkeypatch.setattr(trainings, 'start_process', start)
    argv = [*CONFIGS, '--data-root', str(scenes), '--classes', '--work-dir', str(work_dir), '--seeds', '2']
    cli.run('compare', [*argv, *more, '--cfg-options', *SMALL])
    return started


def test_a_comparison_is_trained_and_goes_on_where_it_was_cut_off(scenes, tmp_path, monkeypatch, capsys):
    started = compare(scenes, tmp_path, monkeypatch, '--epochs', '2')
    assert [arguments[0] for arguments in started] == ['train'] * 4
    said = capsys.readouterr().out
    whole = json.loads((tmp_path / 'comparison.json').read_text())
    assert (tmp_path / 'comparison.md').read_text() in said
    assert (tmp_path / 'comparison.png').stat().st_size > 10_000
    assert not whole['notes']
    assert 'se_mm.SEResNet' in str(whole['gains'][0]['configs_differ'])

    # Cut off after the first epoch of the last training.
    cut = tmp_path / 'se_resnet18_scenes/seed_1'
    (of_start,) = cut.glob('*/vis_data/config.py')
    assert of_start.read_text() == (cut / 'se_resnet18_scenes.py').read_text()  # as asked for, without our hooks
    (cut / 'epoch_2.pth').unlink()
    (cut / 'last_checkpoint').write_text(str(cut / 'epoch_1.pth'))
    validations = cut / 'validations.json'
    validations.write_text(json.dumps(json.loads(validations.read_text())[:1]))
    started = compare(scenes, tmp_path, monkeypatch, '--epochs', '2')
    assert [str(cut) in arguments for arguments in started] == [True]
    assert 'se_resnet18_scenes, seed 1 (4 of 4): goes on' in capsys.readouterr().out
    assert json.loads((tmp_path / 'comparison.json').read_text()) == whole

    assert compare(scenes, tmp_path, monkeypatch, '--epochs', '2') == []
    with pytest.raises(SeMmError, match='train_cfg.max_epochs is 2 there and 3 here'):
        compare(scenes, tmp_path, monkeypatch, '--epochs', '3')

    folders = [str(tmp_path / Path(config).stem) for config in CONFIGS]
    cli.run('compare', [*folders, '--only-report', '--work-dir', str(tmp_path / 'report')])
    again = json.loads((tmp_path / 'report/comparison.json').read_text())
    assert again == whole


def test_one_config_needs_a_twin(scenes, tmp_path):
    with pytest.raises(SeMmError, match='name two, or add --se'):
        cli.run('compare', [CONFIGS[0], '--work-dir', str(tmp_path)])
    with pytest.raises(SeMmError, match='two configs have one name'):
        cli.run('compare', [CONFIGS[0], CONFIGS[0], '--work-dir', str(tmp_path)])
    with pytest.raises(SeMmError, match='expected the trainings of resnet18_scenes, in a folder for each seed'):
        cli.run('compare', [CONFIGS[0], '--se', '--only-report', '--work-dir', str(tmp_path)])


def test_a_config_without_validation_is_refused_before_anything_trains(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, 'start_process', lambda *_: pytest.fail('trains'))
    none = ('val_dataloader', 'val_evaluator', 'val_cfg')
    config = tmp_path / 'blind.py'
    config.write_text('\n'.join([f'_base_ = {CONFIGS[1]!r}', *(f'{key} = None' for key in none)]))
    argv = [CONFIGS[0], str(config), '--data-root', str(scenes), '--classes', '--work-dir', str(tmp_path / 'w')]
    with pytest.raises(SeMmError, match='blind has no validation, .* needs val_dataloader, val_evaluator and val_cfg'):
        cli.run('compare', argv)


def test_a_config_against_its_twin_by_a_flag(scenes, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(trainings, 'start_process', lambda arguments, *_: started.append(arguments) or 0)
    argv = [CONFIGS[0], '--se', '--keep-weights', '--data-root', str(scenes), '--classes']
    argv += ['--seeds', '1', '--work-dir', str(tmp_path)]
    with pytest.raises(SeMmError, match='resnet18_scenes holds no finished training'):
        cli.run('compare', argv)  # nothing was trained
    plain, se = started
    assert se[:4] == ['train', CONFIGS[0], '--se', '--keep-weights']
    assert str(tmp_path / 'resnet18_scenes_se/seed_0') in se
    assert '--se' not in plain
