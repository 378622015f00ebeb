"""Random sets in every format are read back as they were; damaged ones are refused, or lose what is damaged."""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.formats import CLASSES, Sample, csv_table, pictures_into, voc_devkit, voc_folder, yolo_folder

from se_mm import SeMmError
from se_mm.datasets.prepare.detection import prepare_detection


@st.composite
def sample_lists(draw):
    samples = []
    for i in range(draw(st.integers(2, 5))):
        width, height = draw(st.integers(8, 60)), draw(st.integers(8, 60))
        boxes = []
        for _ in range(draw(st.integers(1, 3))):
            x, y = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
            x2, y2 = draw(st.integers(x + 1, width)), draw(st.integers(y + 1, height))
            boxes.append((draw(st.sampled_from(CLASSES)), (x, y, x2, y2)))
        samples.append(Sample(f'{draw(st.sampled_from(["a", "b c", "ä"]))}{i}.png', width, height, boxes))
    return samples


def coco_of(samples: list[Sample]) -> dict:
    return {
        'images': [
            {'id': i, 'file_name': s.name, 'width': s.width, 'height': s.height} for i, s in enumerate(samples, 1)
        ],
        'annotations': [
            {'id': 10 * i + k, 'image_id': i, 'category_id': CLASSES.index(name), 'bbox': [x, y, x2 - x, y2 - y]}
            for i, s in enumerate(samples, 1)
            for k, (name, (x, y, x2, y2)) in enumerate(s.boxes)
        ],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES)],
    }


def write(kind: str, root: Path, samples: list[Sample]) -> None:
    if kind in ('coco', 'csv'):
        pictures_into(root, samples)
    if kind == 'coco':
        (root / 'all.json').write_text(json.dumps(coco_of(samples)))
    elif kind == 'csv':
        csv_table(root / 'all.csv', samples)
    else:
        {'voc': voc_folder, 'devkit': voc_devkit, 'yolo': yolo_folder}[kind](root, samples)


def boxes_of(samples: list[Sample]) -> Counter:
    return Counter((sample.name, name, *box) for sample in samples for name, box in sample.boxes)


def read_back(root: Path) -> tuple[set[str], Counter]:
    pictures, boxes = set(), Counter()
    for file in (root / 'annotations').glob('instances_*.json'):
        content = json.loads(file.read_text())
        files = {image['id']: Path(image['file_name']).name for image in content['images']}
        names = {category['id']: category['name'] for category in content['categories']}
        pictures |= set(files.values())
        for entry in content['annotations']:
            x, y, w, h = entry['bbox']
            corners = tuple(round(value, 2) for value in (x, y, x + w, y + h))
            boxes[(files[entry['image_id']], names[entry['category_id']], *corners)] += 1
    return pictures, boxes


@pytest.mark.parametrize('kind', ['coco', 'voc', 'devkit', 'yolo', 'csv'])
@settings(max_examples=25, deadline=None)
@given(samples=sample_lists())
def test_what_is_written_is_read_back(kind, samples):
    with tempfile.TemporaryDirectory() as folder:
        write(kind, Path(folder), samples)
        prepare_detection(Path(folder))
        assert read_back(Path(folder)) == ({sample.name for sample in samples}, boxes_of(samples))


TEXTS = ['', 'x', 'nan', '--', '1e', '0x1']
JUNK = st.one_of(st.none(), st.booleans(), st.just(math.nan), st.just([]), st.just({}), st.sampled_from(TEXTS))


@pytest.mark.parametrize('kind', ['coco', 'voc', 'yolo', 'csv'])
@settings(max_examples=60, deadline=None)
@given(samples=sample_lists(), data=st.data())
def test_damage_never_makes_other_boxes(kind, samples, data):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(kind, root, samples)
        suffix = {'coco': '.json', 'voc': '.xml', 'yolo': '.txt', 'csv': '.csv'}[kind]
        file = data.draw(st.sampled_from(sorted(file for file in root.rglob(f'*{suffix}'))))
        if kind == 'coco':
            content = json.loads(file.read_text())
            entries = content[data.draw(st.sampled_from(sorted(content)))]
            entry = entries[data.draw(st.integers(0, len(entries) - 1))]
            key = data.draw(st.sampled_from(sorted(entry.keys() - {'name'})))  # any text is the name of a class
            if data.draw(st.booleans()):
                del entry[key]
            else:
                entry[key] = data.draw(JUNK)
            file.write_text(json.dumps(content))
        elif kind == 'voc':
            file.write_bytes(file.read_bytes()[: data.draw(st.integers(0, file.stat().st_size - 1))])
        else:
            separator = ',' if kind == 'csv' else ' '
            lines = [line.split(separator) for line in file.read_text().splitlines()]
            words = lines[data.draw(st.integers(kind == 'csv', len(lines) - 1))]
            place = data.draw(st.sampled_from([i for i in range(len(words)) if kind == 'yolo' or i != 3]))
            words[place] = data.draw(st.sampled_from(TEXTS))
            file.write_text('\n'.join(separator.join(words) for words in lines))
        try:
            prepare_detection(root, skip_missing=data.draw(st.booleans()))
        except SeMmError:
            return
        pictures, boxes = read_back(root)
        assert pictures <= {sample.name for sample in samples}
        assert not boxes - boxes_of(samples)
