"""Exported files give what PyTorch gives, in every runtime; one that does not is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small_models import DETECTORS, built, classifier, description, detector_config, pictures

from se_mm import SeMmError
from se_mm.apis.export import compare
from se_mm.export import programs
from se_mm.export.description import thresholds_of
from se_mm.export.forms import export_form
from se_mm.export.runtimes import open_exported

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
    said = description(form, thresholds_of(model) if form.task == 'detection' else {}, precision=precision)
    files = []
    programs.write_onnx(program, form, path)
    for suffix in suffixes:
        pytest.importorskip(RUNTIMES[suffix])
        file = path.with_suffix(suffix)
        if suffix == '.xml':
            programs.write_openvino(path, file, half=False)
        programs.describe(file, said, program)
        files.append(open_exported(file))
    return files


def agrees(model, file, count=2):
    comparison = compare(model, file, pictures(count), file.description.resizing)
    assert not comparison.disagreements
    assert len(comparison.sizes) == 3
    assert comparison.pictures == 3 * count
    return comparison


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
