"""timm:// names in place of a config and a checkpoint; scores as a loop over timm's models gives them."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from PIL import Image
from support.commands import CAN_FORK, output, tool
from support.published import draw, random_weights, theirs  # noqa: F401 (a fixture)
from timm.data import ImageNetInfo, create_transform, resolve_data_config
from timm.models import get_pretrained_cfg
from torchvision.transforms.functional import five_crop, hflip

pytestmark = [
    pytest.mark.skipif(not CAN_FORK, reason='the random weights are of this process'),
    pytest.mark.usefixtures('random_weights'),
]
NAMES = ('timm://legacy_seresnet18.in1k', 'timm://resnet18.tv_in1k')
SYNSETS = ImageNetInfo().label_names()
FOLDERS = sorted(SYNSETS[i] for i in (3, 310, 999))
SIZE = 64


@pytest.fixture(scope='module')
def subset(tmp_path_factory):
    root = tmp_path_factory.mktemp('subset')
    for i, wnid in enumerate(FOLDERS):
        for j in range(2):  # the second as Tiny-ImageNet has its training pictures
            draw(
                root / 'val' / wnid / ('images' if j else '') / f'{j}.JPEG', (90 + 20 * i, 120 - 25 * j), seed=2 * i + j
            )
    return root


@pytest.fixture
def scores(subset, tmp_path):
    """Runs the command; the scores of each picture by its path, and what was said."""

    def run(*args):
        out = tmp_path / 'scores.pkl'
        size = ('--size', SIZE, SIZE, '--workers', 0, '--work-dir', tmp_path / 'log', '--out', out)
        said = output(tool('test', *args, '--data-root', subset, *size))
        with out.open('rb') as file:
            return {sample['img_path']: sample['pred_score'] for sample in pickle.load(file)}, said

    return run


def loop(names, path, views):
    """The mean of the softmax outputs of timm's models over views of a picture."""
    outputs = []
    for name in names:
        model = theirs(name)
        pixels = resolve_data_config(pretrained_cfg=get_pretrained_cfg(name.removeprefix('timm://')).to_dict())
        resize, crop, *normalise = create_transform(**{**pixels, 'input_size': (3, SIZE, SIZE)}).transforms
        for view in views(resize, crop, Image.open(path).convert('RGB')):
            for step in normalise:
                view = step(view)
            with torch.no_grad():
                outputs.append(model(view[None])[0].softmax(0))
    return torch.stack(outputs).mean(0)


def centre(resize, crop, picture):
    return [crop(resize(picture))]


def ten_crops_of_two_sizes(resize, crop, picture):
    views = []
    for side in (SIZE, 96):
        transform = create_transform((3, side, side), crop_pct=0.875, interpolation='bicubic')
        crops = five_crop(transform.transforms[0](picture), [side, side])
        views += [flip(view) for view in crops for flip in (lambda view: view, hflip)]
    return views


@pytest.mark.parametrize(
    ('names', 'options', 'views'),
    [
        (NAMES[:1], (), centre),
        (NAMES[:1], ('--tta', 'ten-crop', f'scales={SIZE},96'), ten_crops_of_two_sizes),
        (NAMES, ('--ensemble',), centre),
    ],
)
def test_scores_are_those_of_a_loop_over_timms_models(names, options, views, scores):
    found, said = scores(*names, *options)
    assert len(found) == 6
    for path, score in found.items():
        torch.testing.assert_close(score, loop(names, path, views), rtol=0, atol=1e-6)
    assert 'top-1 71.77, top-5 90.33 at 224 pixels (here: 64)' in said


def test_among_the_folders_alone_the_scores_are_those_of_their_classes(scores):
    among, said = scores(*NAMES[:1], '--among-folders', '--ensemble')
    assert 'ensemble: accuracy/top1' in said
    assert '3 classes (tiger shark 2, ' in said
    whole, _ = scores('configs/se_resnet50_imagenet.py', NAMES[0])
    rows = [SYNSETS.index(wnid) for wnid in FOLDERS]
    for path, score in among.items():
        torch.testing.assert_close(score, whole[path][rows] / whole[path][rows].sum(), rtol=1e-5, atol=1e-7)


def test_five_names_with_their_probabilities(subset, tmp_path):
    path = next((subset / 'val' / FOLDERS[0]).glob('*.JPEG'))
    said = output(tool('infer', NAMES[0], path, '--size', SIZE, SIZE, '--out', tmp_path))
    (entry,) = json.loads((tmp_path / 'predictions.json').read_text())
    best = loop(NAMES[:1], path, centre).topk(5)
    assert list(entry['scores'].values()) == pytest.approx(best.values.tolist(), abs=1e-6)
    lemmas = ImageNetInfo().label_descriptions()
    assert all(lemmas[i].startswith(name.split(' (')[0]) for i, name in zip(best.indices, entry['scores'], strict=True))
    assert (tmp_path / 'vis' / f'{path.name}.png').is_file() or (tmp_path / 'vis' / path.name).is_file()
    assert entry['label'] in said


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ((NAMES[0], '--data-root', 'docs'), 'no folders named by WordNet ids'),
        ((*NAMES, '--data-root', 'docs'), 'are named; expected one model, or several and --ensemble'),
        ((NAMES[0], '--se', '--data-root', 'docs'), '--se and --attention change the network of a config'),
        ((NAMES[0], '--tta', 'crops'), '--tta crops: expected ten-crop, or scales=224,256,288'),
        (('configs/faster_rcnn_se_r50_coco.py', NAMES[0]), 'is a classifier, and the config of scope mmdet is none'),
    ],
)
def test_mistakes_are_one_message(args, message, subset, tmp_path):
    root = () if '--data-root' in args else ('--data-root', subset)
    done = tool('test', *args, *root, '--work-dir', tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
