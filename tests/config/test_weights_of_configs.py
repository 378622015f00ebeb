"""Weights of a host that is gone, and of a machine without a network."""

from __future__ import annotations

import copy
import hashlib
import http.server
import importlib.util
import re
import threading
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from se_mm import SeMmError
from se_mm.config import pretrained
from se_mm.weights import published

GONE = 'https://download.openmmlab.com'


@pytest.fixture
def mirror(tmp_path, monkeypatch) -> Path:
    """What the mirror serves; the cache is empty."""
    folder = tmp_path / 'mirror'
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setitem(published.MIRRORS, 'download.openmmlab.com', f'http://127.0.0.1:{server.server_port}')
    yield folder
    server.shutdown()
    server.server_close()


def serve(folder: Path, name: str) -> str:
    torch.save({'state_dict': {'weight': torch.ones(2)}}, folder / 'file')
    digest = hashlib.sha256((folder / 'file').read_bytes()).hexdigest()[:8]
    (folder / 'file').rename(folder / f'{name}-{digest}.pth')
    return f'{GONE}/{name}-{digest}.pth'


def config(checkpoint: str) -> Config:
    init = dict(type='Pretrained', checkpoint=checkpoint)
    return Config(dict(model=dict(backbone=dict(type='ResNet', init_cfg=init))))


def test_the_mirror_of_a_host_that_is_gone_serves_what_has_the_hash_of_its_name(mirror):
    url = serve(mirror, 'resnet50_8xb32_in1k_20210831')
    (line,), there = pretrained.status(config(url))
    assert there
    assert 'the mirror of a host that is gone' in line
    pretrained.fetch(config(url))
    # mmengine finds it under the URL of the host, and asks nobody.
    assert torch.equal(CheckpointLoader.load_checkpoint(url)['state_dict']['weight'], torch.ones(2))


@pytest.mark.parametrize(
    ('name', 'message'),
    [('resnet50-0123abcd.pth', 'invalid hash value'), ('resnet50.pth', 'cannot be checked: the name has no hash')],
)
def test_another_file_in_its_place_or_one_without_a_hash_is_refused(name, message, mirror):
    (mirror / name).write_bytes(b'anything')
    with pytest.raises(SeMmError, match=message):
        pretrained.fetch(config(f'{GONE}/{name}'))
    assert not list((mirror.parent / 'hub/checkpoints').glob('*.pth'))


def test_a_bundle_is_a_torch_home(mirror, tmp_path, monkeypatch):
    url = serve(mirror, 'resnet50_20210831')
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'mine.pth')
    cfg = config(url)
    cfg.load_from = str(tmp_path / 'mine.pth')
    said = pretrained.bundle(cfg, tmp_path / 'bundle')
    assert f'--cfg-options load_from={tmp_path}/bundle/mine.pth' in said[-1]
    for file in mirror.iterdir():
        file.unlink()
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'bundle/hub'))
    pretrained.fetch(config(url))
    assert pretrained.status(config(url))[0][0].count('cached, sha256 begins with') == 1


def test_local_files_of_one_name_stay_apart_in_a_bundle(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    for i, folder in enumerate('abc'):
        (tmp_path / folder).mkdir()
        torch.save({'weight': torch.full((2,), i)}, tmp_path / folder / 'epoch_12.pth')
    cfg = config(str(tmp_path / 'a/epoch_12.pth'))
    second = dict(type='Pretrained', checkpoint=f'file://{tmp_path}/b/epoch_12.pth')
    cfg.model.neck = dict(type='FPN', init_cfg=[dict(type='Normal'), second])
    cfg.model.head = dict(init_cfg=dict(type='Pretrained', checkpoint='~/a/epoch_12.pth'))
    cfg.load_from = '~/c/epoch_12.pth'
    said = pretrained.bundle(cfg, tmp_path / 'bundle')
    bundled = copy.deepcopy(cfg)
    options = said[-1].partition('--cfg-options ')[2].split()
    bundled.merge_from_dict(dict(option.split('=') for option in options))
    for named in (cfg, bundled):
        pretrained.fetch(named)  # names them as mmengine reads them
        files = pretrained.named_weights(named).values()
        assert [CheckpointLoader.load_checkpoint(file)['weight'][0].item() for file in files] == [0, 1, 0, 2]
    assert len(list((tmp_path / 'bundle').glob('*.pth'))) == 3
    assert all(line.endswith('a local file, there') for line in pretrained.status(cfg)[0])


def test_nearly_all_of_mmdets_weights_have_a_hash_in_their_name():
    folder = Path(importlib.util.find_spec('mmdet').origin).parent / '.mim' / 'configs'
    text = ''.join(file.read_text() for file in folder.glob('**/metafile.yml'))
    urls = set(re.findall(rf'{GONE}/\S+\.pth', text))
    hashed = [url for url in urls if published.resolve(url).sha256]
    assert len(hashed) >= 0.98 * len(urls)
    assert not any(published.resolve(url).source.startswith(GONE) for url in urls)
