"""What does not fit is refused by name, and changes nothing."""

from __future__ import annotations

import io
import logging
import os
import pickle
import re
import zipfile
from argparse import Namespace
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
import timm
import torch
from mmdet.models import ResNet
from mmengine.runner import load_checkpoint
from safetensors.torch import save, save_file
from support.helpers import randomize
from torch import nn

from se_mm import SeMmError, SEResNet, SEResNeXt
from se_mm.compat.checkpoints import log_classes_allowed
from se_mm.weights.files import read_checkpoint
from se_mm.weights.loading import adapt

CAFFE = dict(style='caffe', stem_pool='caffe')


class RunsCode:
    """A pickle that makes a file when it is read."""

    def __reduce__(self):
        return os.system, ('touch it_ran',)


@pytest.fixture(scope='module')
def weights():
    return dict(SEResNet(18).state_dict())


def pth(content, **options) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def other_zip(weights) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('readme.txt', 'hello')
    return buffer.getvalue()


def with_tensor(key, change):
    return lambda weights: pth({**weights, key: change(weights[key])})


def without(key):
    return lambda weights: pth({name: value for name, value in weights.items() if name != key})


CONV = 'layer4.1.conv2.weight'
#: What stands in the file, of the weights of a network, and what the message says.
DAMAGED = {
    'truncated': (lambda w: pth(w)[:20_000_000], 'damaged or cut off'),
    'another zip': (other_zip, 'damaged or cut off'),
    'truncated safetensors': (lambda w: save(w)[:20_000_000], 'damaged or cut off'),
    'truncated safetensors header': (lambda w: save(w)[:100], 'damaged or cut off'),
    'empty file': (lambda w: b'', 'is empty'),
    'html': (lambda w: b'<!DOCTYPE html><html>404</html>', 'web page'),
    'html after a blank line': (lambda w: b'\n <html>503</html>', 'web page'),
    'lfs pointer': (lambda w: b'version https://git-lfs.github.com/spec/v1\noid sha256:0\n', 'Git LFS'),
    'gzip': (lambda w: b'\x1f\x8b\x08\x00' + bytes(60), 'gzip archive'),
    'noise': (lambda w: np.random.default_rng(0).bytes(5000), 'cannot be read'),
    'json': (lambda w: b'{"a": 1}', 'cannot be read'),
    'empty dict': (lambda w: pth({}), 'holds no tensors'),
    'empty state dict': (lambda w: pth({'state_dict': {}, 'meta': {}}), 'holds no tensors'),
    'a tensor': (lambda w: pth(w[CONV]), 'holds a Tensor'),
    'a list': (lambda w: pth(list(w.values())), 'holds a list'),
    'keys are numbers': (lambda w: pth(dict(enumerate(w.values()))), 'has the key 0'),
    'nan': (with_tensor(CONV, lambda t: t * float('nan')), f'NaN or infinity: {CONV}'),
    'infinity': (with_tensor(CONV, lambda t: t / 0), 'NaN or infinity'),
    'negative variance': (with_tensor('bn1.running_var', lambda t: t - 5), 'negative: bn1.running_var'),
    'integers': (with_tensor(CONV, lambda t: t.int()), rf'not of floating point: {CONV} \(torch.int32\)'),
    'complex': (with_tensor(CONV, lambda t: t.to(torch.complex64)), 'not of floating point'),
    'another shape': (with_tensor(CONV, lambda t: t[:5]), rf'another shape: {CONV} \(5, 512, 3, 3\)'),
    'not a tensor': (with_tensor(CONV, lambda t: 'hello'), f'no tensors: {CONV}'),
    'another net': (lambda w: pth(nn.Sequential(nn.Linear(3, 3)).state_dict()), 'no network of this kind'),
    'plain, a tensor is missing': (
        lambda w: pth({name: value for name, value in w.items() if '.se.' not in name and name != CONV}),
        f'without SE; 1 tensors are missing: {CONV}',
    ),
    'a tensor is missing': (without(CONV), f'1 tensors are missing: {CONV}'),
    'the stem is missing': (without('conv1.weight'), 'missing: conv1.weight'),
    'malicious': (lambda w: pth({**w, 'extra': RunsCode()}), r'\(\w+.system\), and could run code; refused'),
    'malicious arguments': (lambda w: pth({**w, 'args': Namespace(file=RunsCode())}), 'could run code; refused'),
    'malicious, old format': (
        lambda w: pth({**w, 'extra': RunsCode()}, _use_new_zipfile_serialization=False),
        r'\(\w+.system\), and could run code; refused',
    ),
    'malicious bare pickle': (lambda w: pickle.dumps({'state_dict': RunsCode()}), 'refused'),
    'a whole model': (lambda w: pth(nn.Linear(2, 2)), 'torch.nn.*refused'),
}


@pytest.mark.parametrize('damage', [*DAMAGED, 'directory', 'nothing'])
def test_damaged_files(damage, tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / 'weights.pth'
    if damage == 'directory':
        file.mkdir()
    elif damage in DAMAGED:
        file.write_bytes(DAMAGED[damage][0](weights))
    message = {'directory': 'is a directory', 'nothing': 'does not exist'}.get(damage) or DAMAGED[damage][1]
    backbone = SEResNet(18)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(SeMmError, match=message) as error:
        backbone.load_pretrained(str(file))
    assert 'weights.pth' in str(error.value)
    assert '\n' not in str(error.value)
    assert len(str(error.value)) < 700
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert not (tmp_path / 'it_ran').exists()


X32X4D = dict(groups=32, base_width=4)
#: The network, whose weights it is given (the name of a network of timm's, or one of ours), and what the message says.
MISFITS = {
    'style': (lambda: SEResNet(50, **CAFFE), 'seresnet50', r"style='pytorch' .*'caffe'"),
    'legacy style': (lambda: SEResNet(50, stem_pool='caffe'), 'legacy_seresnet50', "need style='caffe'"),
    'legacy stem': (lambda: SEResNet(50, style='caffe'), 'legacy_seresnet50', "need stem_pool='caffe'"),
    'legacy resnext stem': (lambda: SEResNeXt(50, **X32X4D), 'legacy_seresnext50_32x4d', "need stem_pool='caffe'"),
    'legacy basic blocks': (
        lambda: SEResNet(18, stem_pool='caffe'),
        'legacy_seresnet18',
        "need attention_position='rectified'",
    ),
    'deeper': (lambda: SEResNet(50), 'seresnet101', r'\(3, 4, 23, 3\) blocks .* the config \(3, 4, 6, 3\)'),
    'shallower': (lambda: SEResNet(34), 'seresnet18', r'\(2, 2, 2, 2\) blocks .* the config \(3, 4, 6, 3\)'),
    'cardinality': (lambda: SEResNet(50), 'seresnext50_32x4d', 'another shape'),
    'reduction': (lambda: SEResNet(50), lambda: SEResNet(50, reduction=8), 'set reduction=8'),
    'fewer gates': (lambda: SEResNet(18), lambda: SEResNet(18, se_stages=(2, 3)), '16 tensors are missing'),
    'more gates': (lambda: SEResNet(18, se_stages=(2, 3)), lambda: SEResNet(18), '16 have no place'),
    'biases': (lambda: SEResNet(18, se_bias=False), lambda: SEResNet(18), 'set se_bias=True'),
    'position': (lambda: SEResNet(50, attention_position='post'), 'seresnet50', "need attention_position='standard'"),
    'our own position': (
        lambda: SEResNet(18),
        lambda: SEResNet(18, attention_position='identity'),
        "need attention_position='identity'",
    ),
    'gate': (
        lambda: SEResNet(18, attention=dict(type='SELayer', gate='tanh')),
        lambda: SEResNet(18),
        "need attention=SELayer.*gate='sigmoid'.*the config has SELayer.*gate='tanh'",
    ),
    'deep stem': (lambda: SEResNet(50), 'resnet50d', 'missing: conv1.weight'),
}


@pytest.mark.parametrize('misfit', MISFITS)
def test_misfits(misfit, tmp_path):
    ours, theirs, message = MISFITS[misfit]
    theirs = timm.create_model(theirs) if isinstance(theirs, str) else theirs()
    torch.save(theirs.state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(SeMmError, match=message) as error:
        ours().load_pretrained(str(tmp_path / 'weights.pth'))
    assert ('se_bias' in str(error.value)) == (misfit == 'biases')


@pytest.mark.parametrize(
    ('file', 'style'),
    [
        ('resnet50-0676ba61.pth', 'pytorch'),
        ('resnet50_caffe-788b5fa3.pth', 'caffe'),
        ('se-resnet50_batch256_imagenet_20200804-ae206104.pth', 'pytorch'),
    ],
)
def test_the_style_that_a_published_files_name_tells(file, style, tmp_path):
    with_se = file.startswith('se-')
    weights = {key: value for key, value in SEResNet(50).state_dict().items() if with_se or '.se.' not in key}
    torch.save(weights, tmp_path / file)
    SEResNet(50, style=style).load_pretrained(str(tmp_path / file))
    with pytest.raises(SeMmError, match=f"need style='{style}'"):
        SEResNet(50, style={'pytorch': 'caffe', 'caffe': 'pytorch'}[style]).load_pretrained(str(tmp_path / file))


def test_plain_weights_fit_any_position(tmp_path):
    torch.save(timm.create_model('resnet18').state_dict(), tmp_path / 'plain.pth')
    SEResNet(18, attention=dict(type='SELayer', squeeze='max')).load_pretrained(str(tmp_path / 'plain.pth'))


WITHOUT_START = {
    'position': dict(attention_position='post'),
    'gate': dict(attention=dict(type='SELayer', gate=['sigmoid', 'sigmoid', 'sigmoid', 'tanh'])),
    'SimAM': dict(attention='SimAM'),
}


@pytest.mark.parametrize('case', WITHOUT_START)
def test_plain_weights_without_an_exact_start_are_warned_of_and_own_weights_are_not(case, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('se_mm.weights.loading.print_log', lambda line, level, **_: said.append((level, line)))
    torch.save(ResNet(18).state_dict(), tmp_path / 'plain.pth')
    ours = SEResNet(18, **WITHOUT_START[case])
    ours.load_pretrained(str(tmp_path / 'plain.pth'))
    ((_, line),) = (record for record in said if record[0] == logging.WARNING)
    assert re.search("has no exact start: .*start='(blend|gain)'", line)
    torch.save(ours.state_dict(), tmp_path / 'ours.pth')
    ours.load_pretrained(str(tmp_path / 'ours.pth'))
    assert [level for level, _ in said].count(logging.WARNING) == 1


def test_a_safetensors_header_whose_length_looks_like_html(tmp_path, weights):
    def header(padding: int) -> int:
        save_file(weights, tmp_path / 'weights.safetensors', metadata={'padding': 'x' * padding})
        return int.from_bytes((tmp_path / 'weights.safetensors').read_bytes()[:8], 'little')

    wanted = int.from_bytes(b' <', 'little')
    assert header(wanted - header(0)) == wanted  # as a page begins
    SEResNet(18).load_pretrained(str(tmp_path / 'weights.safetensors'))


def test_the_style_of_the_file_behind_an_alias(tmp_path):
    weights = ResNet(50).state_dict()
    file = str(tmp_path / 'resnet50-0676ba61.pth')
    metadata = {'source': 'torchvision://resnet50', 'file': file}
    with pytest.raises(SeMmError, match="need style='pytorch'"):
        adapt(SEResNet(50, style='caffe'), dict(weights), '', metadata)


def test_a_classifiers_file_as_load_from_of_a_detector(tmp_path, weights):
    torch.save({**weights, 'fc.weight': torch.zeros(10, 512)}, tmp_path / 'timm.pth')
    detector = nn.ModuleDict({'backbone': SEResNet(18)})
    with pytest.raises(SeMmError, match=r"no network .* under 'backbone.'.*belong in the backbone's init_cfg"):
        load_checkpoint(detector, str(tmp_path / 'timm.pth'))


def test_several_networks_need_a_prefix(tmp_path, weights):
    both = {f'{who}.backbone.{k}': v for who in ('student', 'teacher') for k, v in weights.items()}
    torch.save({'state_dict': both}, tmp_path / 'semi.pth')
    with pytest.raises(SeMmError, match=r'2 networks: student.backbone., teacher.backbone.; choose one'):
        SEResNet(18).load_pretrained(str(tmp_path / 'semi.pth'))


def test_a_prefix_that_is_not_there_names_those_that_are(tmp_path, weights):
    queries = {f'module.encoder_q.{key}': value for key, value in weights.items()}
    torch.save({'model': queries}, tmp_path / 'moco.pth')
    ours = SEResNet(18)
    ours.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'moco.pth'), prefix='encoder_k')
    with pytest.raises(SeMmError, match=r"no key under 'encoder_k.'; networks stand under: 'encoder_q.'"):
        ours.init_weights()
    ours.init_cfg['prefix'] = 'module.encoder_q.'
    ours.init_weights()
    assert torch.equal(ours.conv1.weight, weights['conv1.weight'])


@pytest.mark.parametrize('name', ['foo://weights', 'file:///no/weights.pth', None])
def test_a_name_that_leads_nowhere_is_one_message(name):
    with pytest.raises(SeMmError, match='no.weights.pth does not exist|foo://weights cannot be read|got None'):
        SEResNet(18).load_pretrained(name)


def test_a_path_and_its_url_are_read(tmp_path, weights):
    torch.save(weights, tmp_path / 'the weights.pth')
    for name in (tmp_path / 'the weights.pth', (tmp_path / 'the weights.pth').as_uri()):
        ours = SEResNet(18)
        ours.load_pretrained(name)
        assert torch.equal(ours.conv1.weight, weights['conv1.weight'])


def test_networks_with_our_tensors_and_another_graph(tmp_path):
    torch.save(timm.create_model('resnetrs50').state_dict(), tmp_path / 'renamed.pth')
    with pytest.raises(SeMmError, match='no place in the backbone: maxpool.0.weight'):
        SEResNet(50, deep_stem=True, avg_down=True, reduction=4).load_pretrained(str(tmp_path / 'renamed.pth'))
    torch.save(timm.create_model('resnetblur50').state_dict(), tmp_path / 'resnetblur50-84f4748f.pth')
    with pytest.raises(SeMmError, match='another network'):
        SEResNet(50).load_pretrained(str(tmp_path / 'resnetblur50-84f4748f.pth'))


def test_a_stage_that_is_not_built_is_left_out(tmp_path, weights):
    torch.save(weights, tmp_path / 'weights.pth')
    three = SEResNet(18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))
    three.load_pretrained(str(tmp_path / 'weights.pth'))
    assert torch.equal(three.layer3[1].conv2.weight, weights['layer3.1.conv2.weight'])


def test_old_files_without_counters_and_in_half_precision(tmp_path, weights):
    old = OrderedDict(
        (key, value.half() if value.is_floating_point() else value)
        for key, value in weights.items()
        if not key.endswith('num_batches_tracked')
    )
    torch.save(old, tmp_path / 'old.pth')
    backbone = SEResNet(18)
    backbone.load_pretrained(str(tmp_path / 'old.pth'))
    assert backbone.conv1.weight.dtype == torch.float32
    torch.testing.assert_close(backbone.conv1.weight, weights['conv1.weight'], atol=1e-3, rtol=1e-3)


def test_load_state_dict_without_strict_is_torchs(weights):
    ours, plain = SEResNet(18), randomize(SEResNet(18), seed=5)
    part = {key: value for key, value in plain.state_dict().items() if key.startswith('layer1.')}
    missing, unexpected = ours.load_state_dict({**part, 'fc.weight': torch.zeros(1)}, strict=False)
    counted = {key for key in weights if not key.endswith('num_batches_tracked')}  # torch adds those itself
    assert set(missing) == counted - set(part)
    assert unexpected == ['fc.weight']
    assert all(torch.equal(value, ours.state_dict()[key]) for key, value in part.items())

    detector = nn.ModuleDict({'backbone': SEResNet(18), 'neck': nn.Linear(2, 2)})
    missing, _ = detector.load_state_dict({'neck.weight': torch.ones(2, 2), 'neck.bias': torch.ones(2)}, strict=False)
    assert set(missing) == {f'backbone.{key}' for key in counted}
    missing, _ = detector.load_state_dict({f'backbone.{key}': value for key, value in part.items()}, strict=False)
    assert torch.equal(detector['backbone'].layer1[0].conv1.weight, part['layer1.0.conv1.weight'])
    assert 'backbone.layer2.0.conv1.weight' in missing
    with pytest.raises(RuntimeError, match='Missing key'):
        SEResNet(18).load_state_dict(part)


@pytest.mark.parametrize('key', ['surprise.weight', 'layers.0.weight', 'gate'])
def test_keys_that_no_network_has_are_unexpected_and_classifiers_are_not(weights, key):
    heads = {'fc.weight': torch.ones(2), 'head.fc.bias': torch.ones(2), 'last_linear.weight': torch.ones(2)}
    assert SEResNet(18).load_state_dict({**weights, **heads}).unexpected_keys == []
    with pytest.raises(RuntimeError, match=rf'Unexpected key\(s\) in state_dict: "{key}"'):
        SEResNet(18).load_state_dict({**weights, key: torch.ones(2)})
    detector = nn.ModuleDict({'backbone': SEResNet(18)})
    named = {f'backbone.{name}': value for name, value in {**weights, key: torch.ones(2)}.items()}
    with pytest.raises(RuntimeError, match=f'backbone.{key}'):
        detector.load_state_dict(named)


def test_mmengines_loader_takes_all_or_refuses(weights, tmp_path):
    part = {key: value for key, value in weights.items() if not key.startswith('layer4.')}
    torch.save(part, tmp_path / 'part.pth')
    with pytest.raises(SeMmError, match='tensors are missing: layer4'):
        load_checkpoint(SEResNet(18), str(tmp_path / 'part.pth'))
    torch.save({f'backbone.{key}': value for key, value in part.items()}, tmp_path / 'part.pth')
    with pytest.raises(SeMmError, match='tensors are missing: layer4'):
        load_checkpoint(nn.ModuleDict({'backbone': SEResNet(18)}), str(tmp_path / 'part.pth'))


def test_threads_that_read_take_turns(tmp_path):
    """torch's list of classes is of the process: one thread that is done must not take it from another."""
    torch.save({'w': torch.ones(1), 'args': Namespace(lr=0.1)}, tmp_path / 'a.pth')
    inside, left = Event(), Event()

    def read() -> None:
        with log_classes_allowed():
            inside.set()
            left.wait(5)
            torch.load(tmp_path / 'a.pth', weights_only=True)

    with ThreadPoolExecutor(1) as pool:
        with log_classes_allowed():
            other = pool.submit(read)
            inside.wait(0.5)
        left.set()
        other.result()


def test_safetensors_are_read_without_values_as_other_files_are(tmp_path):
    weights = {'conv1.weight': torch.rand(4, 3, 1, 1, dtype=torch.float16)}
    save_file(weights, tmp_path / 'a.safetensors')
    torch.save(weights, tmp_path / 'a.pth')
    read = [read_checkpoint(tmp_path / name, 'meta')['conv1.weight'] for name in ('a.safetensors', 'a.pth')]
    assert [(value.device.type, value.shape, value.dtype) for value in read] == 2 * [
        ('meta', (4, 3, 1, 1), torch.float16)
    ]
