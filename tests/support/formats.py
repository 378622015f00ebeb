"""The same few pictures and boxes in every format that people bring."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from PIL import Image

CLASSES = ('Platelets', 'RBC', 'WBC')


class Sample(NamedTuple):
    """A picture and its boxes: class, and x1, y1, x2, y2 from 0, as whole pixels."""

    name: str
    width: int
    height: int
    boxes: list[tuple[str, tuple[int, int, int, int]]]


def write_voc_xml(file: Path, sample: Sample, **changes: str) -> None:
    """``changes`` replaces what the element of a name says; VOC counts pixels from 1."""
    root = ElementTree.Element('annotation')
    ElementTree.SubElement(root, 'filename').text = sample.name
    size = ElementTree.SubElement(root, 'size')
    for side in ('width', 'height'):
        ElementTree.SubElement(size, side).text = str(getattr(sample, side))
    for name, box in sample.boxes:
        entry = ElementTree.SubElement(root, 'object')
        ElementTree.SubElement(entry, 'name').text = name
        ElementTree.SubElement(entry, 'difficult').text = '0'
        bounds = ElementTree.SubElement(entry, 'bndbox')
        for side, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True):
            ElementTree.SubElement(bounds, side).text = str(value + 1)
    for element in root.iter():
        if element.tag in changes:
            element.text = changes[element.tag]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(ElementTree.tostring(root))


def pictures_into(folder: Path, samples: list[Sample], source: Path | None = None) -> None:
    """Copies of the pictures, or grey ones where there is no source."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        if source:
            shutil.copy(source / sample.name, folder / sample.name)
        else:
            Image.new('RGB', (sample.width, sample.height), (90, 90, 90)).save(folder / sample.name)


def voc_folder(root: Path, samples: list[Sample], source: Path | None = None) -> Path:
    """XML beside the pictures, as labelImg leaves them."""
    pictures_into(root, samples, source)
    for sample in samples:
        write_voc_xml(root / f'{Path(sample.name).stem}.xml', sample)
    return root


def voc_devkit(root: Path, samples: list[Sample], source: Path | None = None, val: int = 0) -> Path:
    """``VOC2007/{JPEGImages,Annotations,ImageSets/Main}``; the last ``val`` samples are the test."""
    year = root / 'VOC2007'
    pictures_into(year / 'JPEGImages', samples, source)
    for sample in samples:
        write_voc_xml(year / 'Annotations' / f'{Path(sample.name).stem}.xml', sample)
    if val:
        (year / 'ImageSets/Main').mkdir(parents=True)
        for split, part in (('trainval', samples[:-val]), ('test', samples[-val:])):
            lines = ''.join(f'{Path(sample.name).stem}\n' for sample in part)
            (year / f'ImageSets/Main/{split}.txt').write_text(lines)
    return root


def yolo_folder(
    root: Path, samples: list[Sample], source: Path | None = None, names: str | None = 'data.yaml', val: int = 0
) -> Path:
    """``images`` and ``labels``, in folders of splits where ``val`` of them are set aside."""
    splits = {'train': samples[:-val], 'val': samples[-val:]} if val else {'': samples}
    for split, part in splits.items():
        pictures_into(root / 'images' / split, part, source)
        (root / 'labels' / split).mkdir(parents=True)
        for sample in part:
            lines = []
            for name, (x1, y1, x2, y2) in sample.boxes:
                values = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
                sides = (sample.width, sample.height) * 2
                shares = [f'{value / side:.6f}' for value, side in zip(values, sides, strict=True)]
                lines.append(' '.join([str(CLASSES.index(name)), *shares]) + '\n')
            (root / 'labels' / split / f'{Path(sample.name).stem}.txt').write_text(''.join(lines))
    if names == 'data.yaml':
        (root / names).write_text(f'train: images/train\nval: images/val\nnames: {list(CLASSES)}\n')
    elif names == 'classes.txt':
        (root / names).write_text('\n'.join(CLASSES) + '\n')
    return root


def csv_table(file: Path, samples: list[Sample]) -> None:
    """A row for each box, as the TensorFlow tutorials write it."""
    with file.open('w', newline='') as stream:
        rows = csv.writer(stream)
        rows.writerow(('filename', 'width', 'height', 'class', 'xmin', 'ymin', 'xmax', 'ymax'))
        for sample in samples:
            rows.writerows([(sample.name, sample.width, sample.height, name, *box) for name, box in sample.boxes])
