"""``--data-root`` and ``--classes``: a config reads the files that a folder has, and takes their classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ..config.classes import set_classes
from ..config.load import data_root_of, load_config
from ..config.loaders import EVALUATORS, LOADERS, datasets_in, datasets_of
from ..config.scene_layout import LISTS, Scenes, class_folders, find_scenes, has_lists
from ..config.tree import nodes
from ..errors import SeMmError
from ..utils.console import say
from ..utils.type_names import type_name
from .annotations import coco, voc
from .annotations.coco import CocoFile
from .annotations.pictures import IMAGE_SUFFIXES, files_below

#: Data sets of boxes whose files are not plain COCO JSON, or that drop what they do not know.
_BOXES = (
    'BaseDetDataset', 'CityscapesDataset', 'CrowdHumanDataset', 'DSDLDetDataset', 'DeepFashionDataset', 'LVISDataset',
    'LVISV05Dataset', 'LVISV1Dataset', 'Objects365V1Dataset', 'Objects365V2Dataset', 'OpenImagesChallengeDataset',
    'OpenImagesDataset', 'V3DetDataset', 'VOCDataset', 'WIDERFaceDataset', 'XMLDataset',
)  # fmt: skip
_COCO_ARGUMENTS = ('_scope_', 'backend_args', 'filter_cfg', 'metainfo', 'pipeline', 'test_mode', 'indices', 'lazy_init')
_METRICS = (
    'CityScapesMetric', 'CocoMetric', 'CrowdHumanMetric', 'DSDLDetMetric', 'LVISFixedAPMetric', 'LVISMetric',
    'OpenImagesMetric', 'VOCMetric',
)  # fmt: skip
_FOLDERS = ('CustomDataset', 'ImageNet')
#: Data sets of one archive whose pipelines also fit pictures in files, and what is in the archive.
_ARCHIVES = {'se_mm.CIFAR10': 'cifar-10-batches-py', 'se_mm.CIFAR100': 'cifar-100-python'}
_PREPARE = 'tools/prepare_data.py'


def config_with_data(
    name: str,
    options: Mapping[str, Any] | None = None,
    data_root: str | None = None,
    classes: Sequence[str] | None = None,
) -> Config:
    """Reads a config as :func:`~se_mm.config.load.load_config`, and fits it to the data in a folder.

    Args:
        name: a file, or ``package::path``.
        options: dotted keys and values.
        data_root: the folder. What the config names and it does not have is looked for in it (:func:`fit_data`).
        classes: the names that replace the config's; empty: those in the data (:func:`classes_in_data`);
            ``None``: the config's own.

    Raises:
        SeMmError: as ``load_config``, or if the folder has something else than the config can read.
    """
    cfg = load_config(name, options, data_root, classes)
    if root := data_root_of(data_root):
        for line in fit_data(cfg, root):
            say(line)
    if classes is not None and not classes:
        set_classes(cfg, classes_in_data(cfg))
    return cfg


def fit_data(cfg: Config, root: str) -> list[str]:
    """Points the data sets and metrics of a config to the files below its data root.

    What the config names and the folder has stays, unless ``tools/prepare_data.py`` wrote files beside it. Otherwise
    the COCO files there
    (:func:`~se_mm.datasets.annotations.coco.find`) or its folders of classes take its place, and
    data sets of another format become mmdet's ``CocoDataset``, mmpretrain's ``CustomDataset``.

    Args:
        cfg: its data root is ``root`` already; changed in place.
        root: the folder.

    Returns:
        What the user should know of it.

    Raises:
        SeMmError: if there is something else than the config can read, with the tool that converts it.
    """
    if not Path(root).is_dir():
        return []  # refused with the source of the data, where they are looked at
    said = _drop_missing_members(cfg)
    named = [dataset for _, dataset in datasets_in(cfg)]
    for dataset in named:
        if type_name(dataset) == 'CustomDataset':  # mmpretrain's own suffixes have neither TIFF nor WebP
            dataset.setdefault('extensions', IMAGE_SUFFIXES)
    missing = [dataset for split, dataset in datasets_in(cfg) if not _stays(dataset, split)]
    if any(_takes_folders(dataset) for dataset in missing):
        return said + _fit_scenes(cfg, Path(root))
    if any(_takes_boxes(dataset) for dataset in missing):
        if len(missing) < len(named) and not coco.find(root):
            return said  # the config names what is there of it; a split that is missing is refused when it is read
        return said + _fit_boxes(cfg, Path(root))
    return said


def _is_there(dataset: Mapping[str, Any]) -> bool:
    root, ann_file, prefix = Path(dataset.get('data_root') or ''), dataset.get('ann_file'), dataset.get('data_prefix')
    if archive := _ARCHIVES.get(str(dataset.get('type'))):
        return (root / archive).is_dir()
    if ann_file:
        return (root / ann_file).is_file()
    prefix = next(iter(prefix.values()), '') if isinstance(prefix, dict) else prefix
    folder = root / (prefix or dataset.get('split') or '')
    return folder.is_dir() and bool(prefix or dataset.get('split') == '')


def _stays(dataset: Mapping[str, Any], split: str) -> bool:
    """Whether what a data set names is there, and ``tools/prepare_data.py`` wrote no other file for it."""
    root = Path(dataset.get('data_root') or '')
    prepared = root / f'annotations/instances_{"train" if split == "train" else "val"}.json'
    named = root / (dataset.get('ann_file') or '')
    if _is_unlabelled(dataset):
        return _is_there(dataset)
    if _takes_folders(dataset) and not dataset.get('ann_file') and has_lists(root):
        return False
    return _is_there(dataset) and not (_takes_boxes(dataset) and coco.is_ours(prepared) and not coco.is_ours(named))


def _takes_folders(dataset: Mapping[str, Any]) -> bool:
    return type_name(dataset) in _FOLDERS or str(dataset.get('type')) in _ARCHIVES


def _takes_boxes(dataset: Mapping[str, Any]) -> bool:
    named = str(dataset.get('ann_file') or '').endswith('.json') and 'Panoptic' not in type_name(dataset)
    return type_name(dataset) in (*_BOXES, 'CocoDataset') or named


def _drop_missing_members(cfg: Config) -> list[str]:
    """Leaves out of a concatenation what is not there, where something is (VOC2007 without VOC2012)."""
    dropped = []
    for _, node in nodes([cfg.get(loader) for loader in LOADERS]):
        members = node.get('datasets')
        if isinstance(members, (list, tuple)) and all(isinstance(member, dict) for member in members):
            there = [member for member in members if all(_is_there(dataset) for dataset in datasets_of(member))]
            if 0 < len(there) < len(members):
                gone = [str(dataset.get('ann_file')) for m in members if m not in there for dataset in datasets_of(m)]
                dropped += [f'left out, since it is not there: {name}' for name in gone]
                node['datasets'] = there
    return list(dict.fromkeys(dropped))


def _fit_boxes(cfg: Config, root: Path) -> list[str]:
    found = coco.find(root)
    train, val = found.get('train'), found.get('val') or found.get('test')
    if not (train and val) and (why := coco.rejected(root)):
        lacking = ' and '.join(name for name, file in (('training', train), ('validation', val)) if not file)
        raise SeMmError(f'{root} has no COCO JSON of a {lacking} set that can be used: {"; ".join(why)}')
    if not (train or val):
        others = files_below(root, ('.xml', '.csv', '.txt', '.json', '.yaml'))
        if not others:
            return []  # nothing of the user's own: what the config names is missing
        raise SeMmError(
            f'{root} has no COCO JSON of a training and a validation set; '
            f'{_PREPARE} detection {root} makes them from Pascal VOC XML, YOLO text, a CSV or one COCO file'
        )
    said = []
    for split, dataset in datasets_in(cfg):
        if not _takes_boxes(dataset) or _stays(dataset, split):
            continue
        file = _unlabelled(root) if _is_unlabelled(dataset) else train if split == 'train' else val
        if file:
            said.append(f'{split}: {root / file.file}, {file.count} images in {root / file.images}')
            _point_to(dataset, file, root)
            if split == 'train':
                _check_masks(cfg, file, root)
    for loader in LOADERS:
        for _, node in nodes(cfg.get(loader)):
            members = node.get('datasets')
            if isinstance(members, (list, tuple)):  # what was two years of VOC is one set now
                node['datasets'] = [member for i, member in enumerate(members) if member not in members[:i]]
    if val:
        masks = val.has_masks and _reads(cfg, 'with_mask')
        for name in EVALUATORS:
            if cfg.get(name):
                cfg[name] = _evaluators(cfg[name], str(root / val.file), ['bbox', 'segm'] if masks else 'bbox')
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        if isinstance(hook.get('save_best'), str) and not hook['save_best'].startswith('coco/'):
            hook['save_best'] = 'auto'
    return list(dict.fromkeys(said))


def _is_unlabelled(dataset: Mapping[str, Any]) -> bool:
    loads = [type_name(node) for _, node in nodes(dataset.get('pipeline'))]
    return 'LoadEmptyAnnotations' in loads or 'unlabel' in str(dataset.get('ann_file') or '')


def _unlabelled(root: Path) -> CocoFile:
    """The set without labels that a semi-supervised training reads, too."""
    for name in coco.candidates(root):
        if 'unlabel' in name and (known := coco.summary(root / name)):
            return CocoFile(name, coco.images_folder(root, name, known['names']), (), False, known['count'])
    raise SeMmError(
        f'this config also trains on pictures without labels, and {root} has no COCO JSON of them (such as '
        'annotations/unlabeled.json); use a config without them'
    )


def _point_to(dataset: ConfigDict, file: CocoFile, root: Path) -> None:
    prefix = dataset.get('data_prefix')
    if type_name(dataset) in _BOXES:
        kept = {key: dataset[key] for key in _COCO_ARGUMENTS if key in dataset}
        dataset.clear()
        dataset.update(kept, type='mmdet.CocoDataset')
        prefix = {}
    dataset['data_root'] = f'{root}/'
    dataset['ann_file'] = file.file
    dataset['data_prefix'] = {**(prefix if isinstance(prefix, dict) else {}), 'img': file.images}


def _evaluators(given: Any, ann_file: str, metric: str | list[str]) -> Any:
    if isinstance(given, (list, tuple)):
        return [_evaluators(evaluator, ann_file, metric) for evaluator in given]
    if type_name(given) == 'CocoMetric':
        given.update(ann_file=ann_file, format_only=False)
    elif type_name(given) in _METRICS:
        return ConfigDict(type='mmdet.CocoMetric', ann_file=ann_file, metric=metric)
    return given


def _reads(cfg: Config, what: str) -> bool:
    return any(node.get(what) for _, node in nodes(cfg.get('train_dataloader')))


def _check_masks(cfg: Config, file: CocoFile, root: Path) -> None:
    if _reads(cfg, 'with_seg'):
        raise SeMmError(f'this config also trains on maps of stuff (with_seg), which {root} does not have; use another')
    if _reads(cfg, 'with_mask') and not file.has_masks:
        raise SeMmError(
            f'this config trains on masks, and {root / file.file} has boxes alone; use a config without masks, '
            'as se_mm::faster_rcnn_se_r50_coco.py'
        )


def _fit_scenes(cfg: Config, root: Path) -> list[str]:
    found = find_scenes(root)
    if found is None:
        return []
    if found.val is None and not found.has_lists:
        raise SeMmError(f'{root} has no validation set; {_PREPARE} scenes {root} sets some pictures aside')
    said = []
    for split, dataset in datasets_in(cfg):
        if _takes_folders(dataset):
            said.append(f'{split}: {_point_to_folder(dataset, found, root, "train" if split == "train" else "val")}')
    return list(dict.fromkeys(said))


def _point_to_folder(dataset: ConfigDict, found: Scenes, root: Path, split: str) -> str:
    if type_name(dataset) != 'CustomDataset':
        dataset['type'] = 'mmpretrain.CustomDataset'
        dataset.pop('split', None)
    dataset['data_root'] = f'{root}/'
    dataset['ann_file'] = LISTS[split] if found.has_lists else ''
    dataset['data_prefix'] = '' if found.has_lists else found.train if split == 'train' else found.val
    dataset.setdefault('extensions', IMAGE_SUFFIXES)
    return str(root / (dataset['ann_file'] or dataset['data_prefix']))


def classes_in_data(cfg: Config) -> list[str]:
    """The classes of the training set as its files have them; of the validation set where there is none.

    Returns:
        The categories of a COCO file in its order, the names in VOC's XML, or the folders of a
        classifier's pictures in the order in which mmpretrain numbers them.

    Raises:
        SeMmError: if the data do not say.
    """
    tried = []
    for _, dataset in datasets_in(cfg):
        root = Path(dataset.get('data_root') or '')
        ann_file = root / (dataset.get('ann_file') or '')
        prefix = dataset.get('data_prefix') or ''
        prefix = next(iter(prefix.values()), '') if isinstance(prefix, dict) else prefix
        if ann_file.suffix == '.json' and ann_file.is_file():
            if known := coco.summary(ann_file):
                return known['classes']
            coco.drop_groupings(coco.read(ann_file))  # says why not
        elif type_name(dataset) in ('VOCDataset', 'XMLDataset') and ann_file.is_file():
            return _names_in_xml(cfg)
        elif ann_file.suffix == '.txt' and (ann_file.parent / 'classes.txt').is_file():
            return (ann_file.parent / 'classes.txt').read_text().splitlines()
        elif len(folders := class_folders(root / prefix)) > 1 and not dataset.get('ann_file'):
            return list(folders)
        tried.append(str(ann_file if dataset.get('ann_file') else root / prefix))
    gone = [root for _, d in datasets_in(cfg) if (root := d.get('data_root')) and not Path(root).is_dir()]
    if gone:
        where = f'{gone[0]} (looked in {Path(gone[0]).absolute()})'
        raise SeMmError(f'--classes: the folder of the data does not exist: {where}; --data-root names it')
    where = ', '.join(dict.fromkeys(tried)) or 'a config without data'
    raise SeMmError(f'--classes: {where} does not say what its classes are; name them: --classes cat dog')


def _names_in_xml(cfg: Config) -> list[str]:
    names = set()
    for _, dataset in datasets_in(cfg):
        for file in xml_files(dataset):
            try:
                names |= {entry.name for entry in voc.parse(file)[2]}
            except ValueError as error:
                raise SeMmError(f'{file} {error}; mend or remove it') from error
    if not names:
        raise SeMmError('--classes: no object is named in the XML files of the config')
    return sorted(names)


def xml_files(dataset: Mapping[str, Any]) -> list[Path]:
    """The XML files of mmdet's ``XMLDataset``."""
    prefix = dataset.get('data_prefix') or {}
    root = Path(dataset.get('data_root') or '', prefix.get('sub_data_root') or '')
    return sorted((root / dataset.get('ann_subdir', 'Annotations')).glob('*.xml'))


def pictures_in(dataset: Mapping[str, Any]) -> int | None:
    """How many pictures the files of a data set name; ``None`` where that cannot be said."""
    root, ann_file = Path(dataset.get('data_root') or ''), dataset.get('ann_file')
    if ann_file and (root / ann_file).is_file():
        if ann_file.endswith('.txt'):
            return len((root / ann_file).read_text().splitlines())
        known = coco.summary(root / ann_file)
        return known and known['count']
    prefix = dataset.get('data_prefix')
    folders = class_folders(root / prefix) if isinstance(prefix, str) and not ann_file else ()
    count = sum(len(list((root / prefix / name).iterdir())) for name in folders) or None
    first = dataset.get('indices')  # so many are taken of them
    return min(count, first) if count and isinstance(first, int) else count
