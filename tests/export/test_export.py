"""Exported files give what PyTorch gives, in every runtime; one that does not is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.helpers import REPOSITORY
from support.small_models import DETECTORS, built, classifier, description, detector_config, pictures

from se_mm import SeMmError
from se_mm.config.load import load_config
from se_mm.export import programs, runtimes
from se_mm.export.forms import export_form
from se_mm.export.parity import compare, predicted
from se_mm.export.pictures import of_test_set
from se_mm.export.runtimes import ExportedFile

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

RUNTIMES = {'.onnx': 'onnxruntime', '.xml': 'openvino', '.pt2': 'torch'}
CLASSIFIERS = {
    'ResNet': dict(type='mmdet.ResNet'),
    'SE-ResNet': dict(type='se_mm.SEResNet'),
    'SE-ResNeXt': dict(type='se_mm.SEResNeXt', depth=50, groups=8, base_width=4, base_channels=4, stem_channels=16),
}


def written(model, path: Path, suffixes=('.onnx', '.xml'), precision='fp32') -> list:
    """A model in the formats of the installed runtimes, opened."""
    form = export_form(model, half=precision == 'fp16')
    program = programs.recorded(form, (150, 200), ('batch', 'size'))
    files = []
    programs.write_onnx(program, form, path)
    for suffix in suffixes:
        pytest.importorskip(RUNTIMES[suffix])
        file = path.with_suffix(suffix)
        if suffix == '.xml':
            programs.write_openvino(path, file, half=False)
        programs.describe(file, description(form, precision=precision), program)
        files.append(ExportedFile(file))
    return files


def agrees(model, file, count=2):
    comparison = compare(model, file, pictures(count), file.description.resizing)
    assert not comparison.disagreements
    assert len(comparison.sizes) == 3
    assert comparison.pictures == 3 * count
    return comparison


def test_a_network_of_other_pictures_is_refused():
    with pytest.raises(SeMmError, match='reads pictures of 1 channels'):
        export_form(classifier(dict(type='mmdet.ResNet', in_channels=1)), half=False)


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=[] if name == 'SE-ResNet' else pytest.mark.soak) for name in CLASSIFIERS]
)
def test_a_classifier_scores_as_in_pytorch(name, tmp_path):
    model = classifier(CLASSIFIERS[name])
    suffixes = ('.onnx', '.xml', '.pt2') if name == 'SE-ResNet' else ('.onnx',)
    for file in written(model, tmp_path / 'model.onnx', suffixes):
        agrees(model, file)
        images = np.stack(list(pictures(3).values()))
        for image, scores in zip(images, file(images)['scores'], strict=True):
            np.testing.assert_allclose(scores, file(image[None])['scores'][0], rtol=1e-4, atol=1e-6)
        with pytest.raises(SeMmError, match='takes pictures of 33 pixels and more a side, got 20 x 40'):
            file(np.zeros((1, 20, 40, 3), np.uint8))
        for wrong in (np.zeros((1, 64, 64, 3), np.float32), np.zeros((64, 64, 3), np.uint8)):
            with pytest.raises(SeMmError, match=r'takes pictures \(N, H, W, 3\) of uint8, got'):
                file(wrong)


def test_an_error_of_a_runtime_is_one_message(tmp_path, monkeypatch):
    def load(path, threads):
        def run(images):  # as ONNX Runtime with FcaLayer, whose pooling is recorded for the sizes that it saw
            raise RuntimeError('indices element out of\n data bounds')

        return run, description(export_form(classifier(CLASSIFIERS['SE-ResNet']))).entries()

    monkeypatch.setitem(runtimes.RUNTIMES, '.onnx', load)
    (tmp_path / 'model.onnx').touch()
    file = ExportedFile(tmp_path / 'model.onnx')
    message = 'model.onnx cannot be run on 1 x 64 x 80: RuntimeError: indices element out of data bounds; .*FcaLayer'
    with pytest.raises(SeMmError, match=message):
        file(np.zeros((1, 64, 80, 3), np.uint8))


def test_a_network_with_small_strides_takes_small_pictures_of_a_free_size():
    model = classifier(CLASSIFIERS['SE-ResNet'])
    message = "the config's test size 32x40 is below 33, which a free size needs; use --dynamic batch"
    with pytest.raises(SeMmError, match=message):
        programs.recorded(export_form(model), (32, 40), ('batch', 'size'))
    cfg = load_config(str(REPOSITORY / 'configs/demo/se_preresnet20_cifar10.py'))
    cfg.model.data_preprocessor = cfg.data_preprocessor
    model = built(cfg, 'mmpretrain')
    form = export_form(model)
    assert form.least_side == 5  # strides of 1, 2 and 2
    program = programs.recorded(form, (32, 32), ('batch', 'size')).module()
    for image in (*pictures(1, 30, 40).values(), np.full((5, 7, 3), 90, np.uint8)):
        (scores,) = program(torch.from_numpy(image[None]))
        np.testing.assert_allclose(scores[0], predicted(model, 'classification', image)['scores'], rtol=1e-4, atol=1e-6)


class _Pictures(list):
    """A test set of arrays of these sizes."""

    def get_data_info(self, i: int) -> dict:
        return dict(img=np.full((*self[i], 3), i, np.uint8), img_path=f'{i}.png')


def test_a_file_of_a_fixed_size_is_compared_on_pictures_of_that_size():
    resizing = [{'resize': [128, 96], 'keep_ratio': True}]
    pictures = _Pictures([(96, 128), (96, 96), (48, 64), (50, 70), (30, 40), (20, 80), (60, 60)])
    for steps, chosen in ((resizing, [0, 2, 4]), (None, [0, 3, 6])):
        assert [image[0, 0, 0] for image in of_test_set(pictures, 3, steps).values()] == chosen


@pytest.mark.soak
def test_half_precision_is_near_enough(tmp_path):
    model = classifier(CLASSIFIERS['SE-ResNet'])
    for file in written(model, tmp_path / 'model.onnx', precision='fp16'):
        agrees(model, file)


@pytest.mark.soak
@pytest.mark.parametrize('backbone', ['mmdet.ResNet', 'se_mm.SEResNet'])
@pytest.mark.parametrize('name', DETECTORS)
def test_a_detector_finds_what_it_finds_in_pytorch(name, backbone, tmp_path):
    model = built(detector_config(name, backbone))
    for file in written(model, tmp_path / 'model.onnx'):
        comparison = agrees(model, file)
        assert comparison.boxes > 100
        assert comparison.masks == (comparison.boxes if name == 'Mask R-CNN' else 0)
        standard = {'', 'ai.onnx'}
        if file.path.endswith('.onnx'):
            assert {node.domain for node in onnx.load(file.path).graph.node} <= standard
