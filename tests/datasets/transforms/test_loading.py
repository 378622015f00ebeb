"""Pictures of every odd kind: decoded right, or left out by name."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from se_mm.datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from se_mm.datasets.validation.skipped import Skipped, noted

HEIGHT, WIDTH = 60, 80


@pytest.fixture(scope='module')
def photo() -> Image.Image:
    """Smooth, so that JPEG hardly changes it; nothing in it is symmetric."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([255 * x / WIDTH, 255 * y / HEIGHT, 128 + 100 * np.sin(x / 30)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


def loaded(path: Path, **info) -> np.ndarray:
    return LoadImageFromFile().transform({'img_path': str(path), **info})['img']


def close(bgr: np.ndarray, image: Image.Image, most: int = 6) -> bool:
    expected = np.asarray(image.convert('RGB')).astype(int)
    return bgr.shape == expected.shape and np.abs(bgr[..., ::-1].astype(int) - expected).mean() < most


ANNOTATED = dict(height=HEIGHT, width=WIDTH)


@pytest.mark.fault('a CMYK JPEG', 'decoded to its colours')
def test_cmyk(photo, tmp_path):
    path = saved(photo.convert('CMYK'), tmp_path / 'a.jpg', quality=98)
    assert close(loaded(path, **ANNOTATED), photo, 20)
    other = decode_image(str(path), mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
    assert close(loaded(path), Image.fromarray(other))


@pytest.mark.fault('a PNG of 16 bits', 'scaled to 8 bits')
def test_16_bits(tmp_path):
    values = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), values)
    image = loaded(tmp_path / 'a.png', **ANNOTATED)
    assert image.dtype == np.uint8
    assert np.abs(image[..., 0].astype(int) - values // 257).max() <= 1


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'LA', '1'])
@pytest.mark.fault('a picture that is grey, of a palette or transparent', 'decoded to three channels')
def test_modes(photo, tmp_path, mode):
    image = photo.convert(mode)
    path = saved(image, tmp_path / 'a.png')
    assert close(loaded(path, **ANNOTATED), image)


@pytest.mark.fault('a picture of one pixel', 'decoded')
def test_one_pixel(tmp_path):
    path = saved(Image.new('RGB', (1, 1), (10, 20, 30)), tmp_path / 'a.png')
    assert loaded(path, height=1, width=1).tolist() == [[[30, 20, 10]]]


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.fault('a picture that EXIF data turn, annotated as it is stored', 'decoded as it is annotated')
def test_exif_of_a_picture_that_was_annotated_as_stored(photo, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(photo, tmp_path / 'a.jpg', exif=exif, quality=98)
    turns = orientation >= 5
    assert close(loaded(path, **ANNOTATED), photo) or not turns
    assert loaded(path, **ANNOTATED).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.fault('a picture that EXIF data turn, annotated as it is seen', 'turned')
def test_exif_of_a_picture_that_was_annotated_as_seen(photo, tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(photo, tmp_path / 'a.jpg', exif=exif, quality=98)
    seen = ImageOps.exif_transpose(Image.open(path))
    assert close(loaded(path, height=seen.height, width=seen.width), seen)


def damaged(photo: Image.Image, folder: Path, kind: str) -> Path:
    buffer = io.BytesIO()
    photo.save(buffer, 'PNG' if 'PNG' in kind else 'JPEG', **({'progressive': True} if 'progressive' in kind else {}))
    whole = buffer.getvalue()
    path = folder / f'{kind.replace(" ", "_")}.jpg'
    content = {
        'an empty file': b'',
        'a text': b'<html>404</html>',
        'a JPEG that is cut off': whole[: len(whole) * 2 // 3],
        'a progressive JPEG that is cut off': whole[:-20],
        'a JPEG that lacks its end': whole[:-2],
        'a PNG that is cut off': whole[: len(whole) // 2],
        'only a header': whole[:20],
        'a picture of another size': whole,
    }
    if kind == 'a folder':
        path.mkdir()
    elif kind != 'a missing file':
        path.write_bytes(content[kind])
    return path


DAMAGES = {
    'an empty file': 'empty',
    'a text': 'it cannot be decoded',
    'a JPEG that is cut off': 'it cannot be decoded',
    'a progressive JPEG that is cut off': 'it cannot be decoded',
    'a JPEG that lacks its end': 'it cannot be decoded',
    'a PNG that is cut off': 'it cannot be decoded',
    'only a header': 'it cannot be decoded',
    'a missing file': 'missing',
    'a folder': 'a folder',
    'a picture of another size': 'it is 80x60, annotated is 800x600',
}


@pytest.mark.parametrize(
    ('kind', 'reason'),
    [pytest.param(*item, marks=pytest.mark.fault(item[0], 'left out by name')) for item in DAMAGES.items()],
)
def test_damaged(photo, tmp_path, kind, reason):
    size = dict(height=600, width=800) if 'size' in kind else ANNOTATED
    path = damaged(photo, tmp_path, kind)
    info = {'img_path': str(path), **size}
    with pytest.raises(UnreadableImageError, match=f'{path.name} cannot be read: {reason}'):
        LoadImageFromFile().transform(dict(info))
    report = tmp_path / 'report'
    another = LoadImageFromFile(unreadable='another', split='train', report=str(report))
    assert [another.transform(dict(info)) for _ in range(2)] == [None, None]
    grey = LoadImageFromFile(unreadable='grey', split='val', report=str(report)).transform(dict(info))
    assert grey['img'].shape == (size['height'], size['width'], 3)
    one_channel = LoadImageFromFile(unreadable='grey', color_type='grayscale').transform(dict(info))
    assert one_channel['img'].shape == (size['height'], size['width'])
    entries, _ = noted(report)
    assert [entry[:3] for entry in entries] == [('train', 'image', str(path)), ('val', 'image', str(path))]
    assert all(entry.reason.startswith(reason) for entry in entries)


@pytest.mark.parametrize('trailer', [b'\0' * 100, b'\xff\xda and more', b'\xff\xd8\xff'])
@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_bytes_after_the_end_do_not_matter(photo, tmp_path, kind, trailer):
    buffer = io.BytesIO()
    photo.save(buffer, kind)
    (tmp_path / 'a').write_bytes(buffer.getvalue() + trailer)  # cameras and editors add such
    assert close(loaded(tmp_path / 'a'), photo)


def test_the_report_reads_on_from_where_it_was(tmp_path):
    from se_mm.datasets.validation.skipped import note

    first, second = Skipped('train', 'image', 'ä\n.jpg', 'cut off'), Skipped('val', 'image', 'b.jpg', 'missing')
    note(tmp_path / 'a', [first])
    entries, position = noted(tmp_path / 'a')
    note(tmp_path / 'a', [second])
    with (tmp_path / 'a').open('a') as file:
        file.write('["half a li')
    assert entries == [first]
    assert noted(tmp_path / 'a', position)[0] == [second]


def test_a_new_run_forgets_what_an_earlier_one_left_out(tmp_path):
    from se_mm.datasets.validation.skipped import forget, note

    train, test = Skipped('train', 'image', 'a.jpg', 'cut off'), Skipped('test', 'image', 'b.jpg', 'missing')
    note(tmp_path / 'a', [train, test])
    with (tmp_path / 'a').open('a') as file:
        file.write('["torn"]\nnot json\n')
    forget(tmp_path / 'a', ('train', 'val'))
    assert noted(tmp_path / 'a')[0] == [test]
