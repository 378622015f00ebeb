"""Which pictures are analysed, and what is said of those that are not there."""

from __future__ import annotations

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from support import detection_sets

from se_mm.analysis.gates.figures import choose_channels
from se_mm.analysis.gates.samples import check_classes, choose_pictures, pictures_of
from se_mm.errors import SeMmError


class Labelled(BaseDataset):
    """Pictures with labels in memory."""

    METAINFO = dict(classes=('cat', 'dog', 'owl'))

    def __init__(self, labels: list, key: str = 'gt_label') -> None:
        self.labels, self.key = labels, key
        super().__init__(serialize_data=False)

    def load_data_list(self):
        return [{'img_path': f'{i}.jpg', self.key: label} for i, label in enumerate(self.labels)]


def test_so_many_of_each_class_and_all_where_there_are_fewer():
    pictures = pictures_of(Labelled([0] * 10 + [1] * 3))
    chosen, notes = choose_pictures(pictures, 4, seed=0)
    assert chosen.classes.sum(0).tolist() == [4, 3, 0]
    assert chosen.files == [f'{i}.jpg' for i in chosen.indices]
    assert len(notes) == 1
    assert 'dog 3, owl 0' in notes[0]
    again, _ = choose_pictures(pictures, 4, seed=0)
    assert (again.indices == chosen.indices).all()
    other, _ = choose_pictures(pictures, 4, seed=1)
    assert (other.indices != chosen.indices).any()


def test_several_labels_and_boxes_count_for_each_class(tmp_path):
    several = pictures_of(Labelled([[0, 2], [1], []]))
    assert several.classes.astype(int).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert len(choose_pictures(several, 5, seed=0)[0]) == 2
    with DATASETS.switch_scope_and_registry('mmdet') as registry:
        boxes = pictures_of(registry.build(detection_sets.coco(tmp_path, [])))
    assert boxes.classes.all()
    areas = [[(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in each] for each in detection_sets.BOXES]
    expected = [[any(a < 1024 for a in each), any(1024 <= a < 9216 for a in each), False] for each in areas]
    assert boxes.sizes.tolist() == expected


def test_what_cannot_be_analysed_is_one_message():
    with pytest.raises(SeMmError, match='empty'):
        pictures_of(Labelled([]))
    with pytest.raises(SeMmError, match='without labels'):
        pictures_of(Labelled([0], key='other'))
    with pytest.raises(SeMmError, match='none of the 2 pictures'):
        choose_pictures(pictures_of(Labelled([[], []])), 5, seed=0)
    with pytest.raises(SeMmError, match='--per-class'):
        choose_pictures(pictures_of(Labelled([0])), 0, seed=0)
    with pytest.raises(SeMmError, match='--channels'):
        choose_channels(64, 0, seed=0)


def test_classes_that_are_drawn():
    names, present = ['cat', 'dog', 'owl'], np.eye(3, dtype=bool)[:2]
    assert check_classes(['dog', 'cat', 'dog'], names, present) == ['dog', 'cat']
    for name in ('cow', 'owl'):
        with pytest.raises(SeMmError, match=name):
            check_classes([name], names, present)
    many = [str(i) for i in range(10)]
    assert check_classes(None, many, np.eye(10, dtype=bool)) == ['0', '3', '6', '9']
