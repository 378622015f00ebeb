"""The table of a training says what each number is, and which is the best."""

from __future__ import annotations

import io
from types import SimpleNamespace

import matplotlib.axes
import numpy as np
import pytest
from mmengine.logging import HistoryBuffer
from rich.console import Console

from se_mm.engine.hooks.curves import CurvesHook
from se_mm.utils import tables
from se_mm.visualization import training_curves as curves
from se_mm.visualization.classification import draw_confusion

VALIDATIONS = [
    {'epoch': 1, 'iter': 10, 'accuracy/top1': 60.0, 'error/top1': 40.0, 'coco/bbox_mAP_s': -1.0},
    {'epoch': 2, 'iter': 20, 'accuracy/top1': 70.0, 'error/top1': 30.0, 'coco/bbox_mAP_s': 0.25},
    {'epoch': 3, 'iter': 30, 'accuracy/top1': 65.0, 'error/top1': 35.0, 'coco/bbox_mAP_s': 0.125},
]


def test_the_best_value_of_each_metric_is_bold(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, color_system='standard', width=100)
    monkeypatch.setattr(tables, 'Console', lambda: console)
    curves.print_validations(VALIDATIONS)
    said = console.file.getvalue()
    for value in ('70.000', '30.000', '0.250'):
        assert f'\x1b[1m{value}' in said
    for value in ('60.000', '65.000', '40.000', '35.000', '0.125'):
        assert f'\x1b[1m{value}' not in said
    assert 'accuracy top-1 %' in said
    assert 'error top-1 %' in said


def test_without_a_terminal_no_number_is_cut_and_iterations_are_counted(capsys):
    """Two models with the same metrics keep their prefixes."""
    names = [
        f'{model}/coco/bbox_mAP_{size}' for model in ('teacher', 'student') for size in ('50', '75', 's', 'm', 'l')
    ]
    values = [i / 1000 for i in range(len(names))]
    curves.print_validations([{'epoch': 0, 'iter': n, **dict(zip(names, values, strict=True))} for n in (5000, 10000)])
    cells = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ['iteration', *names] in cells
    for n in ('5000', '10000'):
        assert [n, *(f'{value:.3f}' for value in values)] in cells


@pytest.fixture
def drawn(monkeypatch) -> dict:
    """The curves that matplotlib plots, by label."""
    found, plot = {}, matplotlib.axes.Axes.plot

    def record(axes, x, y, **kwargs):
        found[kwargs['label']] = (x, y)
        return plot(axes, x, y, **kwargs)

    monkeypatch.setattr(matplotlib.axes.Axes, 'plot', record)
    return found


def test_curves_name_accuracy_and_error(tmp_path, drawn):
    curves.draw_curves({'loss': np.ones(3)}, VALIDATIONS, tmp_path / 'curves.png')
    assert list(drawn) == ['loss', 'accuracy top-1 %', 'error top-1 %', 'mAP_s']


def test_the_losses_that_mmengine_keeps_of_a_long_training_are_those_of_its_end(tmp_path, monkeypatch, drawn):
    history = HistoryBuffer(max_length=1000)
    for step in range(1, 1351):
        history.update(step)
    runner = SimpleNamespace(
        iter=1350,
        work_dir=tmp_path,
        message_hub=SimpleNamespace(log_scalars={'train/loss': history}),
        visualizer=None,
        logger=SimpleNamespace(info=str),
    )
    monkeypatch.setattr('se_mm.engine.hooks.curves.record_picture', lambda *_: None)
    CurvesHook().after_train(runner)
    steps, losses = drawn['loss']
    assert steps[-1] == 1350
    assert np.abs(steps - losses).max() <= 2  # a window of five values is drawn at its end


@pytest.mark.parametrize(('classes', 'shown'), [(30, True), (31, False)])
def test_a_confusion_matrix_shows_its_counts_up_to_30_classes(classes, shown, tmp_path, monkeypatch):
    texts = []
    write = matplotlib.axes.Axes.text
    monkeypatch.setattr(
        matplotlib.axes.Axes, 'text', lambda *args, **kwargs: texts.append(args[1:4]) or write(*args, **kwargs)
    )
    matrix = np.arange(classes**2).reshape(classes, classes)
    draw_confusion(matrix, [f'class {i}' for i in range(classes)], tmp_path / 'confusion.png')
    counts = {(x, y): text for x, y, text in texts}
    assert (counts.get((2, 1)) == str(matrix[1, 2])) == shown
    assert len(texts) == shown * classes**2
