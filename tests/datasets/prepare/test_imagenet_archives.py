"""ImageNet from its official archives, here small ones in the same form."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from scipy.io import savemat
from support.commands import tool

from se_mm import SeMmError
from se_mm.datasets.imagenet import WordNetFolders
from se_mm.datasets.prepare import imagenet

WNIDS = ('n01440764', 'n01443537', 'n02012849')  # the devkit numbers them in another order
COUNTS = {'train': 6, 'val': 5}


def tar(path, content, mode='w'):
    with tarfile.open(path, mode) as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def root(tmp_path):
    for i, wnid in enumerate(WNIDS):
        tar(tmp_path / f'{wnid}.tar', {f'{wnid}_{j}.JPEG': bytes([i, j]) * 700 for j in range(2)})
    tar(tmp_path / imagenet.TRAIN, {f'{wnid}.tar': (tmp_path / f'{wnid}.tar').read_bytes() for wnid in WNIDS})
    for wnid in WNIDS:
        (tmp_path / f'{wnid}.tar').unlink()
    tar(tmp_path / imagenet.VAL, {f'ILSVRC2012_val_{i:08d}.JPEG': bytes([i]) * 700 for i in range(1, 6)})
    synsets = np.array(
        [(1, WNIDS[2], 0), (2, WNIDS[0], 0), (3, WNIDS[1], 0), (4, 'n00001740', 3)],
        [('ILSVRC2012_ID', 'O'), ('WNID', 'O'), ('num_children', 'O')],
    )
    mat = io.BytesIO()
    savemat(mat, {'synsets': synsets})
    devkit = {'meta.mat': mat.getvalue(), 'ILSVRC2012_validation_ground_truth.txt': b'2\n1\n3\n2\n1\n'}
    tar(tmp_path / imagenet.DEVKIT, {f'ILSVRC2012_devkit_t12/data/{name}': d for name, d in devkit.items()}, 'w:gz')
    return tmp_path


def test_archives_become_folders_of_wordnet_ids(root):
    lines = imagenet.prepare_imagenet(root, COUNTS)
    assert lines[:2] == [f'{root}/train: 6 pictures, 3 classes', f'{root}/val: 5 pictures, 3 classes']
    assert (root / 'train/n02012849/n02012849_1.JPEG').read_bytes() == bytes([2, 1]) * 700
    wanted = {WNIDS[0]: (1, 4), WNIDS[2]: (2, 5), WNIDS[1]: (3,)}
    for wnid, numbers in wanted.items():
        assert sorted(p.name for p in (root / 'val' / wnid).iterdir()) == [
            f'ILSVRC2012_val_{n:08d}.JPEG' for n in numbers
        ]
    dataset = WordNetFolders(str(root))
    assert list(dataset.get_gt_labels()) == [0, 0, 1, 134, 134]  # cranes are class 134
    made = (root / 'train' / WNIDS[0]).stat().st_mtime_ns
    for name in (imagenet.TRAIN, imagenet.VAL, imagenet.DEVKIT):
        (root / name).unlink()  # a whole set needs no archive any more
    assert imagenet.prepare_imagenet(root, COUNTS) == lines
    assert (root / 'train' / WNIDS[0]).stat().st_mtime_ns == made


def test_it_goes_on_where_it_was_cut_off(root, monkeypatch):
    extract, calls = imagenet.extract_inside, []

    def interrupted(*args):
        calls.append(args)
        extract(*args)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(imagenet, 'extract_inside', interrupted)
    with pytest.raises(KeyboardInterrupt):
        imagenet.prepare_imagenet(root, COUNTS)
    assert [p.name for p in (root / 'train').glob('n*')] == [WNIDS[0]]
    (root / 'val' / WNIDS[1]).mkdir(parents=True)
    (root / 'val' / WNIDS[1] / 'ILSVRC2012_val_00000003.JPEG').write_bytes(b'torn')
    imagenet.prepare_imagenet(root, COUNTS)
    assert len(calls) == 4  # the class that was cut off again, and the last one
    assert (root / 'val' / WNIDS[1] / 'ILSVRC2012_val_00000003.JPEG').read_bytes() == bytes([3]) * 700
    assert not (root / 'train/.unpacking').exists()


@pytest.mark.parametrize('name', [imagenet.TRAIN, imagenet.VAL, imagenet.DEVKIT])
@pytest.mark.parametrize('share', [0, 0.3, 0.7])
def test_half_an_archive_is_refused(root, name, share):
    whole = (root / name).read_bytes()
    with tarfile.open(root / name) as archive:
        last = archive.getmembers()[-1]
    end = len(whole) if name == imagenet.DEVKIT else last.offset_data + last.size  # behind it are zeros alone
    (root / name).write_bytes(whole[: int(share * end)])
    with pytest.raises(SeMmError, match=f'{name} is damaged or cut off: .*fetch it again, what is unpacked stays'):
        imagenet.prepare_imagenet(root, COUNTS)


def test_what_is_missing_is_named(root, tmp_path):
    (root / imagenet.VAL).unlink()
    with pytest.raises(SeMmError, match=f'{imagenet.VAL} does not exist; expected the official archives'):
        imagenet.prepare_imagenet(root, COUNTS)
    done = tool('prepare_data', 'imagenet', root, '--parts', 'train')
    assert done.returncode == 2
    assert 'has 6 pictures, and 1,281,167 are expected' in done.stderr
    assert (
        '--parts test: imagenet is made of archives' in tool('prepare_data', 'imagenet', root, '--parts', 'test').stderr
    )
