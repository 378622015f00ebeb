"""Pictures in folders that are named by WordNet ids: ImageNet (ILSVRC 2012) and its subsets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.datasets import BaseDataset

from ..config.classes import set_number
from ..config.loaders import datasets_of
from ..config.tree import nodes
from ..errors import SeMmError, listed
from ..registry import DATASETS
from ..utils.type_names import type_name
from ..weights.imagenet import imagenet_classes
from .annotations.pictures import IMAGE_SUFFIXES

#: A WordNet id.
WNID = re.compile(r'n\d{8}')


def wordnet_folder(root: str | Path, split: str = 'val') -> tuple[Path, list[str]]:
    """The folder with a folder for each WordNet id, and the ids in the order of ImageNet's classes.

    Args:
        root: of the data: ``root/split/<id>``, ILSVRC's ``root/ILSVRC/Data/CLS-LOC/split/<id>``, or ``root/<id>``.
        split: ``'val'`` or ``'train'``.

    Raises:
        SeMmError: if there is none, or an id is not one of the 1,000 classes.
    """
    root = Path(root).expanduser()
    places = [root / split, root / 'ILSVRC/Data/CLS-LOC' / split, root]
    for place in filter(Path.is_dir, places):
        found = {entry.name for entry in place.iterdir() if WNID.fullmatch(entry.name) and entry.is_dir()}
        if unknown := sorted(found - imagenet_classes().keys()):
            raise SeMmError(f'{place}: no classes of ImageNet (ILSVRC 2012): {listed(unknown, 5)}')
        if found:
            return place, [wnid for wnid in imagenet_classes() if wnid in found]
    raise SeMmError(
        f'{root.absolute()}: no folders named by WordNet ids (n01440764); looked in {", ".join(map(str, places))}. '
        'tools/prepare_data.py imagenet makes them of the official archives'
    )


def use_wordnet_ids(cfg: Config, among: bool = False) -> list[int] | None:
    """Gives the pictures of a test their numbers among ImageNet's classes, by the names of their folders, in place.

    Args:
        cfg: of a published classifier; its data sets of folders change, others stay.
        among: whether the classifier is to choose among the classes of the folders alone.

    Returns:
        The numbers of these classes, where it is.

    Raises:
        SeMmError: if it is, and the folders are not named by WordNet ids.
    """
    rows: list[int] | None = None
    for dataset in datasets_of(cfg.get('test_dataloader')):
        split = dataset.get('data_prefix') or dataset.get('split') or 'val'
        if type_name(dataset) in ('CustomDataset', 'ImageNet') and not dataset.get('ann_file'):
            root = Path(dataset.get('data_root') or '')
            if any(WNID.fullmatch(entry.name) for entry in (root / split).glob('n*')):
                kept = {key: dataset[key] for key in ('pipeline', 'indices', '_scope_') if key in dataset}
                dataset.clear()
                dataset.update(kept, type='se_mm.WordNetFolders', data_root=str(root), split=split)
        if among:
            if type_name(dataset) != 'WordNetFolders':
                raise SeMmError(f'--among-folders needs folders named by WordNet ids, and the data are {dataset.type}')
            dataset.among = True
            numbers = {wnid: number for number, wnid in enumerate(imagenet_classes())}
            rows = [numbers[wnid] for wnid in wordnet_folder(dataset.get('data_root') or '', split)[1]]
            for _, node in nodes((cfg.model.head, cfg.get('test_evaluator'))):
                set_number(node, len(rows))
    return rows


@DATASETS.register_module()
class WordNetFolders(BaseDataset):
    """ImageNet or any subset of its classes: ``val/n01440764/*.JPEG``, also below a folder ``images`` there.

    A label is the class's number among the 1,000 of ImageNet, whatever folders are there.

    Args:
        data_root: see :func:`wordnet_folder`.
        split: ``'val'`` or ``'train'``.
        among: whether labels count the classes of the folders alone.
        **kwargs: of mmpretrain's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ``lazy_init``.

    Raises:
        SeMmError: if there are no such folders, or one holds no picture.
    """

    def __init__(self, data_root: str, split: str = 'val', among: bool = False, **kwargs: Any) -> None:
        self.folder, self.wnids = wordnet_folder(data_root, split)
        self.among = among
        names = imagenet_classes()
        kwargs['metainfo'] = dict(classes=tuple(names[wnid] for wnid in (self.wnids if among else names)))
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        numbers = {wnid: number for number, wnid in enumerate(self.wnids if self.among else imagenet_classes())}
        found = []
        for wnid in self.wnids:
            pictures = sorted(p for p in (self.folder / wnid).rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
            if not pictures:
                raise SeMmError(f'{self.folder / wnid} holds no picture ({", ".join(IMAGE_SUFFIXES)})')
            found += [dict(img_path=str(picture), gt_label=numbers[wnid]) for picture in pictures]
        return found
