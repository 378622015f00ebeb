"""Any config's backbone becomes its SE twin by one call, and by one flag."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import MODELS

from se_mm import SELayer, SeMmError
from se_mm.apis.swap import swap
from se_mm.config.load import load_config
from se_mm.config.pretrained import named_weights
from se_mm.swap import plan_swap, swap_backbone, write_twin
from se_mm.swap.changes import apply
from se_mm.swap.config_file import without_scopes
from se_mm.swap.se_weights import PUBLISHED

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
CAFFE = 'mmdet::retinanet/retinanet_r50-caffe_fpn_1x_coco.py'
PLAIN = 'torchvision://resnet50'


def detector(**backbone) -> Config:
    """A detector's config with a backbone of these arguments."""
    cfg = load_config(RETINANET)
    cfg.model.backbone.update(backbone)
    return cfg


def test_what_was_set_stays():
    cfg = load_config(
        RETINANET,
        {
            'model.backbone.strides': (1, 2, 2, 1),
            'model.backbone.dilations': (1, 1, 1, 2),
            'model.backbone.dcn': dict(type='DCNv2', deform_groups=1, fallback_on_stride=False),
            'model.backbone.stage_with_dcn': (False, False, True, True),
            'model.backbone.norm_cfg.requires_grad': False,
            'model.backbone.frozen_stages': 2,
        },
    )
    before = copy.deepcopy(cfg)
    twin = swap_backbone(cfg)
    assert cfg._cfg_dict == before._cfg_dict
    assert twin.model.backbone.pop('type') == 'se_mm.SEResNet'
    assert twin.model.backbone.pop('init_cfg').checkpoint == 'timm://seresnet50.ra2_in1k'
    kept = {key: value for key, value in cfg.model.backbone.items() if key not in ('type', 'init_cfg')}
    assert twin.model.backbone == kept
    twin.pop('custom_imports')
    assert {k: v for k, v in twin.items() if k != 'model'} == {k: v for k, v in cfg.items() if k != 'model'}


@pytest.mark.parametrize('name', [several[0] for several in PUBLISHED.values()])
def test_the_published_weights_fit_the_twin_that_names_them(name, tmp_path):
    depth, groups, width, style, variant_d = next(key for key, value in PUBLISHED.items() if value[0] == name)
    grouped = dict(type='ResNeXt', groups=groups, base_width=width) if groups > 1 else {}
    cfg = detector(**{**dict(depth=depth, style=style), **grouped, **(dict(type='ResNetV1d') if variant_d else {})})
    backbone = swap_backbone(cfg).model.backbone
    assert backbone.init_cfg.checkpoint == name
    with torch.device('meta'):
        published = timm.create_model(name.removeprefix('timm://').partition('.')[0]).state_dict()
        network = MODELS.build(backbone)
    network.load_state_dict(published, strict=True)  # shapes, style and pooling; the values are tested elsewhere
    assert timm.models.get_pretrained_cfg(name.removeprefix('timm://')).mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ('plain', 'se', 'changes'),
    [
        ('timm://resnet50.a1_in1k', 'timm://seresnet50.a1_in1k', False),
        ('torchvision://resnet50', 'timm://seresnet50.ra2_in1k', True),
        ('https://download.pytorch.org/models/resnet50-11ad3fa6.pth', 'timm://seresnet50.ra2_in1k', True),
    ],
)
def test_weights_of_the_same_recipe_come_first_and_another_one_is_said(plain, se, changes):
    cfg = detector(init_cfg=dict(type='Pretrained', checkpoint=plain))
    said = plan_swap(cfg).notes
    assert swap_backbone(cfg).model.backbone.init_cfg.checkpoint == se
    assert any('another training recipe' in line for line in said) == changes


def test_caffe_weights_change_pooling_and_pixels_and_say_so():
    cfg = load_config(CAFFE)
    swap = plan_swap(cfg)
    twin = swap_backbone(cfg)
    assert twin.model.backbone.init_cfg.checkpoint == 'timm://legacy_seresnet50.in1k'
    assert twin.model.backbone.stem_pool == 'caffe'
    timms = timm.models.get_pretrained_cfg('legacy_seresnet50.in1k')
    assert twin.model.data_preprocessor.mean == pytest.approx([255 * value for value in timms.mean])
    assert twin.model.data_preprocessor.std == pytest.approx([255 * value for value in timms.std])
    assert twin.model.data_preprocessor.bgr_to_rgb is True
    assert any('model.data_preprocessor: RGB with mean' in line for line in swap.notes)


@pytest.mark.parametrize(
    ('backbone', 'reason'),
    [
        (dict(depth=101), 'no SE weights'),
        (dict(norm_cfg=dict(type='GN', num_groups=32)), 'no SE weights'),
        (dict(conv_cfg=dict(type='ConvWS')), 'no SE weights'),
        (dict(init_cfg=dict(type='Pretrained', checkpoint='./moco.pth')), 'chosen for this config'),
    ],
)
def test_where_no_se_weights_fit_it_starts_as_the_plain_network(backbone, reason):
    cfg = detector(**backbone)
    twin = swap_backbone(cfg)
    assert twin.model.backbone.init_cfg == cfg.model.backbone.init_cfg
    assert twin.model.backbone.se_init == 'identity'
    assert any(reason in line for line in plan_swap(cfg).notes)


def test_another_reduction_takes_no_published_gates():
    twin = swap_backbone(load_config(RETINANET), reduction=8, se_stages=(2, 3))
    assert twin.model.backbone.init_cfg.checkpoint == PLAIN
    assert (twin.model.backbone.reduction, twin.model.backbone.se_stages) == (8, (2, 3))


KAIMING = dict(type='Kaiming', layer='Conv2d')


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
def test_every_form_of_a_pretrained_initialisation_is_known(kind):
    pretrained = dict(type=kind, checkpoint=PLAIN)
    of_list = detector(init_cfg=[KAIMING, pretrained])
    assert swap_backbone(of_list, weights='none').model.backbone.init_cfg == [KAIMING]
    assert swap_backbone(of_list, weights='mine.pth').model.backbone.init_cfg[1].checkpoint == 'mine.pth'
    assert swap_backbone(detector(init_cfg=pretrained), weights='none').model.backbone.init_cfg is None
    assert swap_backbone(of_list).model.backbone.init_cfg[1].checkpoint == 'timm://seresnet50.ra2_in1k'
    assert named_weights(detector(init_cfg=pretrained)) == {'model.backbone.init_cfg': PLAIN}


@pytest.mark.parametrize(('named', 'weights'), [(PLAIN, 'none'), (None, None)])
def test_without_weights_it_starts_from_nothing(named, weights):
    cfg = detector(init_cfg=named and dict(type='Pretrained', checkpoint=named))
    backbone = swap_backbone(cfg, weights=weights).model.backbone
    assert backbone.get('se_init') is None
    assert backbone.init_cfg is None


def test_a_model_that_is_loaded_whole_keeps_its_weights_and_pixels():
    cfg = load_config(CAFFE)
    cfg.load_from = 'https://host/retinanet.pth'
    twin = swap_backbone(cfg)
    assert twin.model.data_preprocessor == cfg.model.data_preprocessor
    assert twin.model.backbone.init_cfg == cfg.model.backbone.init_cfg
    assert twin.model.backbone.se_init == 'identity'


@pytest.mark.parametrize(
    ('name', 'places'),
    [
        ('mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py', ['detector.backbone']),
        ('mmdet::detectors/detectors_cascade-rcnn_r50_1x_coco.py', ['backbone', 'neck.rfp_backbone']),
        (
            'mmdet::deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval.py',
            ['detector.backbone', 'reid.backbone'],
        ),
        ('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', ['backbone']),
        ('mmpretrain::arcface/resnet50-arcface_8xb32_inshop.py', ['image_encoder.0']),
    ],
)
def test_backbones_are_found_wherever_they_stand(name, places, tmp_path):
    cfg = load_config(name)
    swap = plan_swap(cfg)
    changed = ['.'.join(map(str, change.keys[1:-1])) for change in swap.changes if change.keys[-1] == 'type']
    assert changed == places
    write_twin(swap, cfg, name, tmp_path / 'twin.py')  # the list of image_encoder is written whole


def test_every_preprocessor_of_a_semi_supervised_detector_changes_with_its_weights():
    cfg = load_config('mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py')
    model = swap_backbone(cfg).model
    assert model.detector.data_preprocessor.bgr_to_rgb is True
    assert model.data_preprocessor.data_preprocessor.bgr_to_rgb is True
    assert model.data_preprocessor.data_preprocessor.mean == model.detector.data_preprocessor.mean


def test_a_teacher_is_left_alone_and_so_are_the_pixels_that_it_needs():
    cfg = load_config('mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py')
    swap = plan_swap(cfg)
    assert 'model.teacher_backbone is a teacher, which its checkpoint gives, and is left alone' in swap.notes
    assert swap_backbone(cfg).model.teacher_backbone == cfg.model.teacher_backbone
    caffe = load_config(CAFFE)
    caffe.model.teacher_config = 'another.py'
    twin = swap_backbone(caffe)
    assert twin.model.data_preprocessor == caffe.model.data_preprocessor
    assert twin.model.backbone.se_init == 'identity'


@pytest.mark.parametrize('se_weights', [True, False])
def test_the_backbone_and_the_last_stage_in_the_head_of_a_c4_detector_have_the_same_weights(se_weights):
    options = {} if se_weights else dict(weights='mine.pth', se_stages=(2,), reduction=(16, 16, 8))
    cfg = load_config('mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py')
    model = swap_backbone(cfg, **options).model
    backbone, head = model.backbone, model.roi_head.shared_head
    assert backbone.init_cfg == head.init_cfg
    assert head.init_cfg.checkpoint == ('timm://legacy_seresnet50.in1k' if se_weights else 'mine.pth')
    assert (head.type, head.host, 'stem_pool' in head) == ('se_mm.SETwin', 'mmdet.ResLayer', False)
    assert (head.get('se_stages'), head.get('reduction')) == ((None, None) if se_weights else ((), 8))


RTMDET = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'


def test_attention_of_a_networks_own_is_left_alone_or_replaced():
    cfg = load_config(RTMDET)
    swap = plan_swap(cfg)
    assert not swap.changes
    assert 'attention of its own (ChannelAttention) at 4 of 4 sites, and is left alone' in swap.notes[0]
    swap = plan_swap(cfg, attention='se_mm.ECALayer', replace_native=True)
    backbone = apply(swap, cfg).model.backbone
    assert (backbone.host, backbone.native_blocks, backbone.attention.type) == ('mmdet.CSPNeXt', [], 'se_mm.ECALayer')
    assert any('does not start equal to the plain one' in line for line in swap.notes)


@pytest.mark.parametrize(
    ('config', 'parts', 'hosts'),
    [
        (RETINANET, ('neck',), {'neck': 'mmdet.FPN'}),
        (RTMDET, ('backbone', 'neck'), {'neck': 'mmdet.CSPNeXtPAFPN'}),
        (
            'mmdet::yolox/yolox_tiny_8xb8-300e_coco.py',
            ('backbone', 'neck'),
            {'backbone': 'mmdet.CSPDarknet', 'neck': 'mmdet.YOLOXPAFPN'},
        ),
        (
            'mmdet::libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco.py',
            ('neck',),
            {'neck.0': 'mmdet.FPN', 'neck.1': 'mmdet.BFP'},
        ),
    ],
)
def test_necks_are_swapped_where_they_are_asked_for(config, parts, hosts):
    cfg = load_config(config)
    swap = plan_swap(cfg, parts=parts, attention=dict(type='se_mm.ECALayer'))
    found = {
        '.'.join(map(str, change.keys[1:-1])): change.value for change in swap.changes if change.keys[-1] == 'host'
    }
    assert found == hosts


def test_parts_that_a_model_does_not_have_are_refused():
    with pytest.raises(SeMmError, match='backbone and neck'):
        plan_swap(load_config(RETINANET), parts=('head',))
    with pytest.raises(SeMmError, match='model.neck is YOLOV3Neck'):
        plan_swap(load_config('mmdet::yolo/yolov3_d53_8xb8-320-273e_coco.py'), parts=('neck',))


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='se_mm.SEResNet'),
        dict(plugins=[dict(cfg=dict(type='se_mm.SELayer'), position='after_conv3')]),
        dict(plugins=[dict(cfg=dict(type=SELayer), position='after_conv3')]),
    ],
)
def test_a_network_with_se_is_left_alone(backbone):
    swap = plan_swap(detector(**backbone))
    assert not swap.changes
    assert swap.notes == [
        f'model.backbone ({"SEResNet" if "type" in backbone else "ResNet"}) already has SE and is left alone'
    ]


def test_the_file_reads_back_and_says_why(tmp_path):
    cfg = load_config(CAFFE)
    file = tmp_path / 'twin.py'
    write_twin(plan_swap(cfg), cfg, CAFFE, file)
    text = file.read_text()
    assert len(text.splitlines()) < 22
    assert '# the pooling that these weights were trained with' in text
    cfg.pop('work_dir')
    assert without_scopes(Config.fromfile(file)) == without_scopes(swap_backbone(cfg))
    assert [entry.name for entry in tmp_path.iterdir()] == ['twin.py']


def test_a_twin_of_a_file_names_it_by_a_relative_path(tmp_path):
    (tmp_path / 'configs').mkdir()
    (tmp_path / 'twins').mkdir()
    mine = tmp_path / 'configs' / 'mine.py'
    mine.write_text(f"_base_ = '{RETINANET}'\nmodel = dict(backbone=dict(frozen_stages=2))\n")
    swap_file(str(mine), tmp_path / 'twins' / 'mine.py')
    assert "_base_ = '../configs/mine.py'" in (tmp_path / 'twins' / 'mine.py').read_text()
    twin = Config.fromfile(tmp_path / 'twins' / 'mine.py')
    assert twin.model.backbone.frozen_stages == 2


@pytest.mark.parametrize('name', ['base', 'child'])
def test_the_twin_of_a_config_in_pure_python_is_a_whole_file(name, tmp_path):
    (tmp_path / 'base.py').write_text(
        'from mmpretrain.models import GlobalAveragePooling, ImageClassifier, LinearClsHead, ResNet\n'
        'model = dict(type=ImageClassifier, backbone=dict(type=ResNet, depth=18), \n'
        'neck=dict(type=GlobalAveragePooling), head=dict(type=LinearClsHead, num_classes=10, in_channels=512))\n'
        "default_scope = 'mmpretrain'\n"
    )
    (tmp_path / 'child.py').write_text(
        'from mmengine.config import read_base\nwith read_base():\n    from .base import *\n'
        'model.update(dict(head=dict(num_classes=3)))\n'
    )
    assert load_config(str(tmp_path / f'{name}.py')).model.backbone.type == 'mmpretrain.ResNet'
    said = swap(str(tmp_path / f'{name}.py'), tmp_path / 'twin.py')
    assert said[-1] == f'written: {tmp_path}/twin.py'
    twin = load_config(str(tmp_path / 'twin.py'))
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        model = registry.build(twin.model)
    assert isinstance(model.backbone.layer1[0].se, SELayer)
    assert model.head.num_classes == {'base': 10, 'child': 3}[name]


def test_a_twin_in_the_place_of_its_original_is_refused(tmp_path):
    mine = tmp_path / 'mine.py'
    mine.write_text(f"_base_ = '{RETINANET}'\n")
    with pytest.raises(SeMmError, match='is the config that the twin would inherit from; name another file'):
        swap_file(str(mine), mine)
    assert mine.read_text() == f"_base_ = '{RETINANET}'\n"


def test_initialisations_with_other_keys_are_replaced_whole(tmp_path):
    mine = tmp_path / 'mine.py'
    mine.write_text(
        f"_base_ = '{RETINANET}'\n"
        f"model = dict(backbone=dict(init_cfg=dict(prefix='backbone.', checkpoint='{PLAIN}')))\n"
    )
    swap_file(str(mine), tmp_path / 'twin.py')
    assert '_delete_=True' in (tmp_path / 'twin.py').read_text()
    assert set(Config.fromfile(tmp_path / 'twin.py').model.backbone.init_cfg) == {'type', 'checkpoint'}


SWIN = 'mmdet::swin/retinanet_swin-t-p4-w7_fpn_1x_coco.py'
MALFORMED = {
    'no such package path': ('mmdet::nope/nope.py', {}, 'mmdet has no config'),
    'no such file': ('nope.py', {}, 'does not exist'),
    'not Python': ('not python (', {}, 'SyntaxError'),
    'no model': ('x = 1', {}, r'has no `model = dict'),
    'a model without a backbone': ("model = dict(type='A', neck=dict(type='FPN'))", {}, 'no backbone'),
    'a host without residual units': (SWIN, {}, 'model.backbone is SwinTransformer'),
    'a host by another way': (
        "model = dict(backbone=dict(type='mmpretrain.TIMMBackbone', model_name='inception_v3'))",
        {},
        'model.backbone is mmpretrain.TIMMBackbone',
    ),
    'an unknown host': ({'type': 'ResNett'}, {}, 'no registry knows'),
    'a depth that does not exist': ({'depth': 51}, {}, 'no depth 51'),
    'dilations that do not fit': ({'dilations': (1, 1)}, {}, 'AssertionError at'),
    'an unknown argument': ({'nonsense': 1}, {}, 'nonsense'),
    'reduction 0': ({}, {'reduction': 0}, 'reduction must be a positive integer'),
    'two reductions': ({}, {'reduction': (4, 4)}, 'one for each of the 4 stages'),
    'a stage that is not there': ({}, {'se_stages': (7,)}, 'indices of stages'),
    'identity without affine norms': (
        {'norm_cfg': dict(type='BN', affine=False)},
        {'se_init': 'identity'},
        'no scale and shift',
    ),
    'a sparse network': ('mmpretrain::spark/spark_sparse-resnet50_800e_in1k.py', {}, 'masked rest|has no config'),
}


def swap_file(given, twin, **options):
    cfg = load_config(given)
    write_twin(plan_swap(cfg, **options), cfg, given, twin)


@pytest.mark.parametrize('name', MALFORMED)
def test_a_malformed_input_is_one_line_and_nothing_is_written(name, tmp_path):
    given, options, message = MALFORMED[name]
    if isinstance(given, dict):
        given = f"_base_ = '{RETINANET}'\nmodel = dict(backbone={given!r})\n"
    if not given.endswith('.py'):
        (tmp_path / 'given.py').write_text(given)
        given = str(tmp_path / 'given.py')
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SeMmError, match=message) as error:
        swap_file(given, tmp_path / 'twin.py', **options)
    assert '\n' not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(('file', 'message'), [('twin.txt', 'with .py'), ('nowhere/twin.py', 'cannot be written')])
def test_a_place_that_cannot_be_written_to(file, message, tmp_path):
    with pytest.raises(SeMmError, match=message):
        swap_file(RETINANET, tmp_path / file)
    assert not list(tmp_path.iterdir())
