"""Large annotation files are read once: in a launch, and until they or what is asked of them change."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mmdet.datasets  # noqa: F401  prints when it is first imported
import pytest
from support.helpers import REPOSITORY

from se_mm import SeMmError
from se_mm.datasets.annotations import coco, remembered
from se_mm.datasets.own_data import config_with_data
from se_mm.datasets.prepare import shapes
from se_mm.datasets.validation import preflight


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Checks a config with given options; returns what was said and which files were read how often."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(remembered, 'LARGE', 0)
    monkeypatch.setattr(shapes, 'SPLITS', dict(shapes.SPLITS, train=6, val=2))
    shapes.draw(tmp_path / 'data', seed=1)
    reads: list[str] = []
    load = coco.load
    monkeypatch.setattr(coco, 'load', lambda file: reads.append(file.stem) or load(file))
    load_of_pycocotools = json.load
    monkeypatch.setattr(json, 'load', lambda file: reads.append(Path(file.name).stem) or load_of_pycocotools(file))

    def run(**options) -> tuple[str, list[str]]:
        reads.clear()
        cfg = config_with_data(
            str(REPOSITORY / 'configs/demo/faster_rcnn_se_r18_shapes.py'),
            {key.replace('__', '.'): value for key, value in options.items()},
            data_root=str(tmp_path / 'data'),
        )
        cfg.work_dir = str(tmp_path / 'out')
        preflight.check(cfg, ('train', 'val'))
        return capsys.readouterr().out, list(reads)

    run.train_file = tmp_path / 'data/annotations/train.json'
    return run


def test_an_unchanged_file_is_read_once(check):
    first, reads = check()
    assert reads == ['train', 'val']
    again, reads = check()
    assert reads == []
    assert again == first.replace(')\n', ') (unchanged since it was checked)\n')


def test_what_the_result_depends_on(check):
    check()
    content = check.train_file.read_text()
    check.train_file.write_text(content + ' ')  # another size
    assert check()[1] == ['train']
    stat = check.train_file.stat()
    os.utime(check.train_file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert check()[1] == ['train']
    assert check(train_dataloader__dataset__filter_cfg__min_size=33)[1] == ['train']
    (check.train_file.parent.parent / 'train' / 'another.png').touch()
    assert check()[1] == ['train']
    assert check()[1] == []


def test_classes_and_heads_are_checked_each_time(check):
    check()
    with pytest.raises(SeMmError, match='num_classes'):
        check(model__roi_head__bbox_head__num_classes=7)


def test_a_file_that_is_refused_or_repaired_is_read_each_time(check):
    content = json.loads(check.train_file.read_text())
    content['annotations'][0]['bbox'][2] *= -1
    check.train_file.write_text(json.dumps(content))
    for _ in range(2):
        said, reads = check()
        assert 'train' in reads
        assert 'with an inverted box' in said
    for annotation in content['annotations']:
        annotation['bbox'] = None
    check.train_file.write_text(json.dumps(content))
    for _ in range(2):
        with pytest.raises(SeMmError, match='no usable box'):
            check()


def test_a_damaged_cache_is_no_result(check, tmp_path):
    check()
    for file in (tmp_path / 'cache').rglob('*.json'):
        file.write_text('{"said": 1')
    assert check()[1] == ['train', 'val']
