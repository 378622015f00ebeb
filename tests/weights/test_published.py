"""Weights by URL or name: fetched once, checked, and where that fails the message says what to do."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from support.helpers import REPOSITORY, randomize

from se_mm import SeMmError, SEResNet
from se_mm.config import pretrained as in_configs
from se_mm.config.load import load_config
from se_mm.swap.building import shapes_only
from se_mm.weights import published

#: Of the configs that start from pretrained weights, those of timm. What the others name is of mmpretrain (r50_4x2,
#: shufflenet_v1), torchvision (vgg16_bn) and Cadene (bninception).
TIMM_CONFIGS = sorted(
    path.name
    for path in (REPOSITORY / 'configs').glob('*_coco*.py')
    if re.search('_se_|senet', path.name) and not re.search('r50_4x2|shufflenet|vgg16|bninception', path.name)
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def host(tmp_path):
    """A local web server: its folder, its address and how often it was asked."""
    folder = tmp_path / 'host'
    folder.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        folder=folder, url=f'http://127.0.0.1:{server.server_port}', asked=asked, stop=server.shutdown
    )
    server.shutdown()
    server.server_close()


def publish(host, weights, name='net', claimed_hash=None) -> str:
    file = host.folder / 'unnamed.pth'
    torch.save(weights, file)
    digest = claimed_hash or hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    file.rename(host.folder / f'{name}-{digest}.pth')
    return f'{host.url}/{name}-{digest}.pth'


def test_a_url_is_fetched_once(host, cache):
    theirs = randomize(SEResNet(18))
    url = publish(host, theirs.state_dict())
    for _ in range(2):
        ours = SEResNet(18)
        ours.load_pretrained(url)
        assert torch.equal(ours.layer4[1].se.fc2.weight, theirs.layer4[1].se.fc2.weight)
    assert len(host.asked) == 1
    assert (cache / url.rpartition('/')[2]).is_file()


def test_a_file_with_another_hash_is_not_kept(host, cache):
    url = publish(host, SEResNet(18).state_dict(), claimed_hash='00000000')
    with pytest.raises(SeMmError, match='invalid hash value'):
        SEResNet(18).load_pretrained(url)
    assert not list(cache.glob('*.pth'))


def test_a_damaged_file_in_the_cache_is_refused(host, cache):
    url = publish(host, SEResNet(18).state_dict())
    SEResNet(18).load_pretrained(url)
    file = cache / url.rpartition('/')[2]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(
        SeMmError, match=f'{re.escape(str(file))} is not {re.escape(url)} as published: its sha256 must'
    ):
        SEResNet(18).load_pretrained(url)


def test_without_a_network_the_message_says_where_a_hand_fetched_file_goes(cache):
    url = 'http://127.0.0.1:9/net-0123abcd.pth'
    with pytest.raises(SeMmError) as error:
        SEResNet(18).load_pretrained(url)
    for part in (url, str(cache / 'net-0123abcd.pth'), 'its sha256 must begin with 0123abcd', '--no-pretrained'):
        assert part in str(error.value)


def test_names_of_timm_are_found_in_its_own_list(host, cache, monkeypatch):
    theirs = randomize(timm.create_model('seresnet50'))
    url = publish(host, theirs.state_dict(), 'seresnet50_ra_224')
    monkeypatch.setattr('timm.models.get_pretrained_cfg', lambda name: SimpleNamespace(url=url, hf_hub_id=None))
    ours = SEResNet(50)
    ours.init_cfg = dict(type='Pretrained', checkpoint='timm://seresnet50.ra2_in1k')
    ours.init_weights()
    assert torch.equal(ours.layer4[2].se.fc2.weight, theirs.layer4[2].se.fc2.weight)


def test_a_hand_fetched_file_of_timm_is_used(cache):
    weights = published.resolve('timm://seresnet50.ra2_in1k')
    assert weights.file == cache / 'seresnet50_ra_224-8efdb4bb.pth'
    assert weights.sha256 == '8efdb4bb'
    assert weights.url == timm.models.get_pretrained_cfg('seresnet50.ra2_in1k').url
    cache.mkdir(parents=True)
    torch.save(SEResNet(50).state_dict(), weights.file)
    with pytest.raises(SeMmError, match='as published: its sha256 must begin with 8efdb4bb'):
        CheckpointLoader.load_checkpoint('timm://seresnet50.ra2_in1k')


@pytest.mark.parametrize(
    'name',
    [
        'timm://ecaresnet50d.miil_in1k',
        'timm://ecaresnet101d.miil_in1k',
        'timm://vgg16_bn.tv_in1k',
        'timm://inception_v3.tv_in1k',
        'timm://inception_v3.tf_in1k',
        'timm://inception_resnet_v2.tf_in1k',
        'timm://mobilenetv1_100.ra4_e3600_r224_in1k',
        'torchvision://vgg16_bn',
    ],
)
def test_names_of_published_weights_have_an_address(name):
    assert published.resolve(name).url.startswith('https://')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('seresnet18', 'for seresnet18 it has: none'),
        ('seresnet50.no_such_tag', r'it has: seresnet50.a1_in1k, .*seresnet50.ra2_in1k'),
        ('vit_base_patch16_224', 'no network like it'),
        ('seresnextaa101d_32x8d.ah_in1k', 'no network like it'),
        ('ecaresnet50d_pruned.miil_in1k', 'no network like it'),
        ('ecaresnetlight.miil_in1k', 'no network like it'),
        ('gcresnet50t.ra2_in1k', 'no network like it'),
        ('skresnext50_32x4d.ra_in1k', 'no network like it'),
    ],
)
def test_names_that_are_refused(name, message):
    with pytest.raises(SeMmError, match=message):
        published.resolve(f'timm://{name}')


def test_other_schemes_of_mmengine_come_through_the_same_cache(host, monkeypatch):
    url = publish(host, {key: value for key, value in SEResNet(18).state_dict().items() if '.se.' not in key})
    monkeypatch.setattr('mmengine.runner.checkpoint.get_torchvision_models', lambda: {'resnet18': url})
    SEResNet(18).load_pretrained('torchvision://resnet18')
    assert published.resolve('torchvision://resnet18').url == url
    with pytest.raises(SeMmError, match='torchvision:// has no weights named resnet19'):
        published.resolve('torchvision://resnet19')


@pytest.mark.parametrize('name', TIMM_CONFIGS)
def test_the_weights_that_each_config_names_fit_its_backbone(name, monkeypatch):
    """The network that timm publishes under that name stands in for the file, by the names of its tensors."""
    cfg = load_config(str(REPOSITORY / 'configs' / name))
    (checkpoint,) = in_configs.named_weights(cfg).values()
    weights = published.resolve(checkpoint)
    assert weights.url.startswith('https://')
    assert len(weights.sha256) >= 8 or isinstance(weights, published.OnHub)
    model = checkpoint.removeprefix('timm://')
    with shapes_only():
        theirs = timm.create_model(model.partition('.')[0]).state_dict()
        backbone = MODELS.build(cfg.model.backbone)
    monkeypatch.setattr('se_mm.weights.loadable.read', lambda _: (dict(theirs), None))
    backbone.load_pretrained(checkpoint)
    timms = timm.models.get_pretrained_cfg(model)
    assert cfg.model.data_preprocessor.mean == pytest.approx([255 * value for value in timms.mean])
    assert cfg.model.data_preprocessor.std == pytest.approx([255 * value for value in timms.std])
    assert cfg.model.data_preprocessor.bgr_to_rgb


def test_the_state_of_the_weights_in_a_config(host, cache, tmp_path):
    url = publish(host, SEResNet(18).state_dict())
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=url))), load_from='b.pth'))
    (reachable, local), all_there = in_configs.status(cfg)
    assert reachable == f'model.backbone.init_cfg = {url}: not cached, reachable: {url}'
    assert 'missing' in local
    assert not all_there
    cfg.load_from = None
    in_configs.fetch(cfg)
    ((line,), all_there) = in_configs.status(cfg)
    assert ': cached, sha256 begins with ' in line
    assert all_there
    published.resolve(url).file.write_bytes(b'torn')
    ((line,), all_there) = in_configs.status(cfg)
    assert 'DAMAGED' in line
    assert not all_there


def test_a_path_in_any_writing_is_one_file(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    file = tmp_path / 'a b.pth'
    torch.save(SEResNet(18).state_dict(), file)
    for name in ('~/a b.pth', f'file://{tmp_path}/a%20b.pth', str(file)):
        cfg = Config(dict(model=dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=name)))))
        assert in_configs.status(cfg) == ([f'model.backbone.init_cfg = {name}: a local file, there'], True)
        in_configs.fetch(cfg)
        assert in_configs.local_checkpoint(name) == str(file)
        assert str(tmp_path / 'out/a b.pth') in in_configs.bundle(cfg, tmp_path / 'out')[0]
        SEResNet(18).load_pretrained(name)


def test_the_mirror_of_a_host_that_is_gone_is_named_once(host, monkeypatch):
    said = []
    monkeypatch.setattr(published, 'say', said.append)
    url = publish(host, SEResNet(18).state_dict())
    monkeypatch.setitem(published.MIRRORS, 'gone.example', host.url)
    for _ in range(2):
        SEResNet(18).load_pretrained(url.replace(host.url, 'https://gone.example'))
    (line,) = said
    assert f'its host is gone; fetched from {url}, sha256 begins with {url[-12:-4]}' in line


def test_the_name_of_a_file_tells_the_graph_and_not_its_folders(tmp_path):
    (tmp_path / 'resnetrs_runs').mkdir()
    file = tmp_path / 'resnetrs_runs' / 'seresnet18.pth'
    torch.save(SEResNet(18).state_dict(), file)
    SEResNet(18).load_pretrained(file)
    file.rename(file.with_name('resnetrs18.pth'))
    with pytest.raises(SeMmError, match='by its name it is of another network'):
        SEResNet(18).load_pretrained(file.with_name('resnetrs18.pth'))


def test_files_of_the_same_name_from_two_places_are_kept_apart(host):
    urls = []
    for seed, folder in enumerate(('a', 'b')):
        (host.folder / folder).mkdir()
        torch.save(randomize(SEResNet(18), seed).state_dict(), host.folder / folder / 'model-20240131.pth')
        urls.append(f'{host.url}/{folder}/model-20240131.pth')
    first, second = SEResNet(18), SEResNet(18)
    first.load_pretrained(urls[0])
    second.load_pretrained(urls[1])
    assert published.resolve(urls[0]).sha256 == ''
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_of_those_who_want_a_file_at_once_one_downloads_it(host):
    weights = published.resolve(publish(host, SEResNet(18).state_dict()))
    with ThreadPoolExecutor(4) as threads:
        files = [thread.result() for thread in [threads.submit(weights.fetch) for _ in range(4)]]
    assert files == [weights.file] * 4
    assert len(host.asked) == 1


def test_initialisations_in_a_list():
    pretrained = dict(type='Pretrained', checkpoint='/no/weights.pth')
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=[dict(type='Kaiming', layer='Conv2d'), pretrained]))))
    assert in_configs.named_weights(cfg) == {'model.backbone.init_cfg.1': '/no/weights.pth'}
    in_configs.without_pretrained(cfg.model)
    assert cfg.model.backbone.init_cfg == [dict(type='Kaiming', layer='Conv2d')]
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=dict(type='Pretrained', chekpoint='x')))))
    with pytest.raises(SeMmError, match='model.backbone.init_cfg is of type Pretrained and names no checkpoint'):
        in_configs.named_weights(cfg)


def test_weights_that_cannot_be_had_name_their_key():
    cfg = Config(dict(model=dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='/no/weights.pth')))))
    with pytest.raises(SeMmError, match=r'model.backbone.init_cfg: checkpoint /no/weights.pth does not exist'):
        in_configs.fetch(cfg)
    assert in_configs.without_pretrained(cfg.model) == ['model.backbone.init_cfg']
    in_configs.fetch(cfg)
    assert cfg.model.backbone.init_cfg is None
