"""Downloads from a server that drops connections, and the pieces of a data set."""

from __future__ import annotations

import hashlib
import http.server
import tarfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import places_tree

from se_mm import SeMmError
from se_mm.datasets.prepare import sources
from se_mm.datasets.prepare.download import download

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server():
    """Serves CONTENT, a piece at a time, then drops the connection; knows ranges unless told not to."""
    state = SimpleNamespace(content=CONTENT, piece=300_000, ranges=True, asked=[], status=None)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            begin = 0
            asked = self.headers.get('Range')
            state.asked.append(asked)
            if state.status:
                return self.send_error(state.status)
            if asked and state.ranges:
                begin = int(asked.removeprefix('bytes=').removesuffix('-'))
                if begin >= len(state.content):
                    return self.send_error(416)
            self.send_response(206 if begin else 200)
            self.send_header('Content-Length', str(len(state.content) - begin))
            self.end_headers()
            self.wfile.write(state.content[begin : begin + state.piece])
            return None

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f'http://127.0.0.1:{server.server_port}/data.tar'
    yield state
    server.shutdown()
    server.server_close()


def test_it_goes_on_where_it_was_cut(server, tmp_path):
    file = download(server.url, tmp_path / 'data.tar', hashlib.md5(CONTENT).hexdigest(), wait=0)
    assert file.read_bytes() == CONTENT
    assert server.asked == [None, 'bytes=300000-', 'bytes=600000-', 'bytes=900000-']
    assert not (tmp_path / 'data.tar.part').exists()


def test_a_second_call_goes_on_with_the_first_ones_part(server, tmp_path):
    (tmp_path / 'data.tar.part').write_bytes(CONTENT[:500_000])
    download(server.url, tmp_path / 'data.tar', wait=0)
    assert server.asked[0] == 'bytes=500000-'
    assert (tmp_path / 'data.tar').read_bytes() == CONTENT
    count = len(server.asked)
    download(server.url, tmp_path / 'data.tar', wait=0)
    assert len(server.asked) == count  # what is there is not fetched


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    (tmp_path / 'data.tar.part').write_bytes(CONTENT)
    assert download(server.url, tmp_path / 'data.tar', wait=0).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges, server.piece = False, len(CONTENT)
    (tmp_path / 'data.tar.part').write_bytes(b'old' * 100)
    assert download(server.url, tmp_path / 'data.tar', wait=0).read_bytes() == CONTENT


def test_another_hash_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(SeMmError, match='published is 0123; it was deleted'):
        download(server.url, tmp_path / 'data.tar', '0123', wait=0)
    assert not list(tmp_path.iterdir())


def test_a_server_that_gives_nothing(server, tmp_path):
    server.piece = 0
    with pytest.raises(SeMmError, match=r'5 times in a row\). 0 bytes are kept'):
        download(server.url, tmp_path / 'data.tar', wait=0)
    server.status = 404
    with pytest.raises(SeMmError, match='HTTP status 404'):
        download(server.url, tmp_path / 'data.tar', wait=0)
    server.status = 503
    with pytest.raises(SeMmError, match='HTTP status 503'):
        download(server.url, tmp_path / 'data.tar', wait=0)


def test_a_server_that_is_not_there(tmp_path):
    with pytest.raises(SeMmError, match=r'http://127.0.0.1:9/x.tar cannot be fetched'):
        download('http://127.0.0.1:9/x.tar', tmp_path / 'x.tar', wait=0)


@pytest.mark.parametrize('filters', [True, False])
def test_fetch_unpacks_and_stays_inside_the_folder(filters, server, tmp_path, monkeypatch):
    if not filters:  # Python before 3.10.12 and 3.11.4
        monkeypatch.delattr(tarfile, 'data_filter', raising=False)
    (tmp_path / 'evil.txt').write_text('x')
    (tmp_path / 'list').mkdir()
    (tmp_path / 'list' / 'places365_val.txt').write_text('a.jpg 0')
    for name, member in (('good', 'places365_val.txt'), ('evil', '../escaped.txt')):
        with tarfile.open(tmp_path / f'{name}.tar', 'w') as archive:
            archive.add(tmp_path / 'list' / 'places365_val.txt', member)
    root = tmp_path / 'data'
    monkeypatch.setitem(sources.SOURCES, 'places365', {'val': (sources.Archive(server.url, 'places365_val.txt'),)})
    server.content, server.piece = (tmp_path / 'evil.tar').read_bytes(), 10**6
    with pytest.raises(SeMmError, match='cannot be unpacked'):
        sources.fetch('places365', root, ['val'])
    assert not (tmp_path / 'escaped.txt').exists()
    (root / 'data.tar').unlink()
    server.content = (tmp_path / 'good.tar').read_bytes()
    sources.fetch('places365', root, ['val'])
    lines, complete = sources.report('places365', root, ['val'])
    assert complete
    assert lines[0].startswith('there')


def test_the_challenge_set_stays_apart_from_the_standard_one(server, tmp_path, monkeypatch):
    (tmp_path / 'unpacked' / 'data_256' / 'a').mkdir(parents=True)
    (tmp_path / 'unpacked' / 'data_256' / 'a' / 'challenge.jpg').write_text('x')
    with tarfile.open(tmp_path / 'challenge.tar', 'w') as archive:
        archive.add(tmp_path / 'unpacked' / 'data_256', 'data_256')
    server.content, server.piece = (tmp_path / 'challenge.tar').read_bytes(), 10**6
    images = sources.Archive(server.url, 'data_256_challenge', unpacks_as='data_256')
    monkeypatch.setitem(sources.SOURCES, 'places365', {'train-challenge': (images,)})
    (tmp_path / 'data' / 'data_256').mkdir(parents=True)
    sources.fetch('places365', tmp_path / 'data', ['train-challenge'])
    assert (tmp_path / 'data' / 'data_256_challenge' / 'a' / 'challenge.jpg').is_file()
    assert not list((tmp_path / 'data' / 'data_256').iterdir())
    assert not list((tmp_path / 'data').glob('.unpacking*'))


def test_every_header_is_read(tmp_path):
    root: Path = places_tree.make(tmp_path, '256', train=1)
    (root / 'data_256/b/bar/00000001.jpg').write_bytes(b'no picture')
    (root / 'val_256/Places365_val_00000365.jpg').unlink()
    count, broken = sources.broken_images('places365', root, ['train-standard', 'val'])
    assert count == 730
    unreadable, missing = broken
    assert unreadable.startswith(f'{root / "data_256/b/bar/00000001.jpg"}: is no picture')
    assert missing == f'{root / "val_256/Places365_val_00000365.jpg"}: is missing'


def test_what_is_missing_is_said(tmp_path):
    lines, complete = sources.report('coco', tmp_path, sources.USUAL_PARTS['coco'])
    assert not complete
    assert all(line.startswith('MISSING') for line in lines)
    assert 'train2017.zip' in lines[0]
    with pytest.raises(SeMmError, match='coco has no part test2017; it has train2017, val2017'):
        sources.report('coco', tmp_path, ['test2017'])
