"""``se_mm.published``: logits, pixels and views as timm's own."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from support.published import draw, random_weights, theirs  # noqa: F401 (a fixture)
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg, list_pretrained

import se_mm
from se_mm import SeMmError
from se_mm.config.classifiers import published_config
from se_mm.weights.published import _TIMM_HOSTS

NAMES = [name for name in list_pretrained() if _TIMM_HOSTS.fullmatch(name.partition('.')[0])]
#: One name of each architecture.
GRAPHS = {name.partition('.')[0]: name for name in NAMES if name != 'resnet50.bamboo'}
SAMPLE = ('legacy_seresnet18', 'ecaresnet50d', 'mobilenetv1_100', 'tf_efficientnet_lite0')


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if graph in SAMPLE else pytest.mark.soak) for graph, name in GRAPHS.items()]
)
def test_logits_are_timms(name, random_weights, recwarn):  # noqa: F811
    ours, reference = se_mm.published(f'timm://{name}').classifier.double(), copy.deepcopy(theirs(name)).double()
    sizes = ((64, 64), (97, 111)) if name.partition('.')[0] in SAMPLE else ((224, 224), (193, 239))
    for height, width in sizes:
        x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        with torch.no_grad():
            logits, wanted = ours(x), reference(x)
        assert (logits - wanted).abs().max() < 1e-9 * wanted.abs().max()
    theirs.cache_clear()


@pytest.mark.soak
@pytest.mark.parametrize('test_size', [False, True])
def test_every_name_has_its_pixels(test_size):
    for name in NAMES:
        about = get_pretrained_cfg(name)
        if about.num_classes != 1000:
            with pytest.raises(SeMmError, match='no classifier of ImageNet'):
                published_config(f'timm://{name}')
            continue
        pixels = resolve_data_config(pretrained_cfg=about.to_dict(), use_test_size=test_size)
        cfg, card = published_config(f'timm://{name}', test_size)
        assert card.size == pixels['input_size'][1] == cfg.test_dataloader.dataset.pipeline[2].crop_size
        np.testing.assert_allclose(cfg.model.data_preprocessor.mean, 255 * np.array(pixels['mean']))


def test_a_tensor_that_is_missing_or_in_excess_is_refused(monkeypatch):
    state = dict(theirs('resnet18').state_dict())
    for change, named in (
        (lambda s: s.pop('fc.bias'), 'not whole: .* fc.bias'),
        (lambda s: s.update(x=s['fc.bias']), 'not whole: .* x'),
    ):
        changed = dict(state)
        change(changed)
        monkeypatch.setattr('se_mm.weights.published.read', lambda *_, changed=changed: (changed, None))
        with pytest.raises(SeMmError, match=named):
            se_mm.published('timm://resnet18.a1_in1k')


def test_mmpretrains_own_are_its_config_with_our_network(monkeypatch):
    from mmpretrain import get_model

    reference = get_model('seresnet50_8xb32_in1k', pretrained=False).eval()
    monkeypatch.setattr('se_mm.weights.published.read', lambda *_: (dict(state_dict=reference.state_dict()), None))
    ours, _, card = se_mm.published('mmcls://se-resnet50')
    x = torch.randn(1, 3, 97, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours.double()(x.double()), reference.double()(x.double()), rtol=1e-9, atol=1e-9)
    assert type(ours.backbone) is se_mm.SEResNet
    assert (card.top1, card.top5, card.size) == (77.74, 93.84, 224)


def pictures(folder):
    """Twenty files of odd shapes and modes."""
    modes = ('RGB', 'RGBA', 'L', 'LA', 'P', '1', 'I;16')
    shapes = ((500, 333), (333, 501), (17, 400), (224, 224), (256, 256), (31, 33), (640, 97))
    files = [draw(folder / f'{i}.png', shapes[i], mode, i) for i, mode in enumerate(modes)]
    files += [draw(folder / f'c{i}.jpg', shape, 'CMYK', i) for i, shape in enumerate(shapes[:2])]
    files += [draw(folder / f'y{i}.jpg', shape, 'YCbCr', i, quality=60) for i, shape in enumerate(shapes[:2])]
    files += [draw(folder / f'j{i}.jpg', shape, 'RGB', i, subsampling=i % 3) for i, shape in enumerate(shapes)]
    files += [draw(folder / 'grey.jpg', (300, 201), 'L'), draw(folder / 'webp.webp', (201, 300))]
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter
    Image.open(files[-2]).save(folder / 'grey.jpg', exif=exif)
    return files


@pytest.mark.parametrize(
    ('name', 'test_size'),
    [('resnet18.a1_in1k', True), ('resnet18.tv_in1k', False), ('mobilenetv1_125.ra4_e3600_r224_in1k', False)],
)
def test_pictures_become_timms_to_the_last_bit(name, test_size, random_weights, tmp_path):  # noqa: F811
    _, transform, card = se_mm.published(f'timm://{name}', test_size)
    pixels = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name).to_dict(), use_test_size=test_size)
    as_bytes, as_floats = create_transform(**pixels, use_prefetcher=True), create_transform(**pixels)
    files = pictures(tmp_path)
    assert len(files) == 20
    assert card.size == pixels['input_size'][1]
    for file in files:
        picture = Image.open(file).convert('RGB')
        packed = transform.steps(transform.loading({'img_path': str(file)}))['inputs']
        np.testing.assert_array_equal(packed.flip(0), as_bytes(picture), err_msg=file.name)
        for given in (file, picture, np.asarray(picture)):
            torch.testing.assert_close(transform(given), as_floats(picture), rtol=0, atol=1e-6)


def test_what_there_is_not_is_refused_in_words():
    for name, message in (
        ('timm://resnet50.bamboo', 'no classifier of ImageNet'),
        ('timm://resnet51', 'no network like it'),
        ('timm://resnet50.nobody_in1k', 'for resnet50 it has: resnet50.a1_in1k'),
        ('mmcls://nobody', 'mmcls:// has no weights named nobody'),
    ):
        with pytest.raises(SeMmError, match=message):
            se_mm.published(name)


def test_a_card_says_what_was_measured_and_where():
    _, card = published_config('timm://legacy_seresnet50.in1k')
    assert str(card).endswith('top-1 77.64, top-5 93.76 at 224 pixels; its authors: error 22.37 / 6.36')
    assert 'at 288 pixels (here: 224)' in str(published_config('timm://seresnet50.ra2_in1k')[1])
