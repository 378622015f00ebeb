"""Checks of a data set in Pascal VOC's format before a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...errors import listed


def unreadable(dataset_cfg: Mapping[str, Any]) -> str:
    """Names the XML files of mmdet's ``XMLDataset`` that cannot be read, which its own error does not.

    Args:
        dataset_cfg: of the data set.

    Returns:
        How many of how many there are, and the first of them with the reason.
    """
    prefix = dataset_cfg.get('data_prefix') or {}
    root, sub_folder = dataset_cfg.get('data_root') or '', prefix.get('sub_data_root', '')
    folder = Path(root, sub_folder, dataset_cfg.get('ann_subdir', 'Annotations'))
    files = sorted(folder.glob('*.xml'))
    broken = []
    for file in files:
        try:
            ElementTree.parse(file)
        except ElementTree.ParseError as error:
            broken.append(f'{file.name} ' + (f'is no XML: {error}' if file.stat().st_size else 'is empty (0 bytes)'))
    what = f'{len(broken)} of {len(files)} XML files in {folder} cannot be read: {listed(broken, 5)}'
    return f'{what}; remove them from the lists in ImageSets/Main, or fetch them again'
