"""The words by which a command is told its model: a config and a checkpoint, or a checkpoint alone.

A checkpoint that mmengine or ``tools/train.py`` wrote holds the config of its training, and so it is enough.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..compat.config_scope import read_config
from ..errors import SeMmError, listed
from ..weights.files import read_checkpoint
from ..weights.published import is_published
from .batches import nominal_size
from .classifiers import published_config
from .differences import differences
from .loaders import LOADERS, datasets_of
from .locate import locate
from .pretrained import local_checkpoint

#: Endings of what mmengine reads as a config.
_CONFIGS = ('.py', '.json', '.yaml', '.yml')
#: Parts of a model that do not decide what its weights compute; classes are compared by their names.
NOT_COMPUTING = ('train_cfg', 'test_cfg', 'frozen_stages', 'norm_eval', 'with_cp', 'num_classes', 'topk')
#: Names without a value that ``Config.pretty_text`` writes.
_NAMES = {'inf': float('inf'), 'nan': float('nan')}


class Named(NamedTuple):
    """What a user names: a config if there is one, a checkpoint or an exported file, and the words after them."""

    config: str | None
    weights: str
    rest: list[str]


def named(words: Sequence[str]) -> Named:
    """Sorts ``CONFIG CHECKPOINT ...``, ``CHECKPOINT ...`` and ``MODEL.onnx [CONFIG] ...``.

    A folder in the place of a checkpoint is a training's: its best checkpoint, else its newest.

    Raises:
        SeMmError: if a config stands alone, or the folder holds no checkpoint.

    Example:
        >>> named(['epoch_3.pth', 'photos/'])
        Named(config=None, weights='epoch_3.pth', rest=['photos/'])
        >>> named(['se_mm::faster_rcnn_se_r50_coco.py', 'epoch_3.pth']).config
        'se_mm::faster_rcnn_se_r50_coco.py'
    """
    words = list(words)
    configs = [word for word in words[:2] if _is_config(word)]
    if configs:
        words.remove(configs[0])
    if not words:
        raise SeMmError(f'{configs[0]} is a config, and no checkpoint is named beside it: expected CONFIG CHECKPOINT')
    return Named(configs[0] if configs else None, _checkpoint_in(words[0]), words[1:])


def config_named(name: str) -> Config:
    """The config that a name stands for: a file, ``package::path``, a checkpoint, which holds one, or a published
    classifier, which is tested on ImageNet.

    Raises:
        SeMmError: if there is none, or it cannot be read.
    """
    if is_published(name):
        return published_config(name)[0]
    if not _is_config(name) and (Path(name).suffix in ('.pth', '.pt') or '://' in name):
        if cfg := config_in(name):
            return cfg
        raise SeMmError(
            f'checkpoint {name} does not hold the config of its training (meta.cfg): name the config before it'
        )
    path = locate(name)
    try:
        return read_config(path)
    except Exception as error:  # whatever a config, which is code, may raise
        raise SeMmError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error


def config_in(checkpoint: str) -> Config | None:
    """The config that a checkpoint was trained with; ``None`` where it holds none.

    Its text is read as literals: nothing in it is run. Modules that it names (``custom_imports``) are imported.

    Raises:
        SeMmError: if the checkpoint or its config cannot be read.
    """
    meta = read_checkpoint(local_checkpoint(checkpoint), 'meta').get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return None
    try:
        tree = {line.targets[0].id: _value(line.value) for line in ast.parse(text).body}
        for key in ('work_dir', 'load_from', 'resume', 'launcher'):  # of that start
            tree.pop(key, None)
        name = re.sub(r'_?\d{8}_\d{6}$', '', str(meta.get('experiment_name') or '')) or Path(checkpoint).stem
        cfg = Config(tree, cfg_text=text, filename=f'{name}.py')
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError) as error:
        raise SeMmError(
            f'the config in checkpoint {checkpoint} cannot be read ({error}): name the config before it'
        ) from error
    if cfg.get('custom_imports'):
        import_modules_from_strings(**cfg.custom_imports)
    return cfg


def use_trained(cfg: Config, checkpoint: str) -> list[str]:
    """Gives a config what decides on a trained model's results: its network, its normalisation, its size of pictures.

    Args:
        cfg: has the classes of the checkpoint already; changed in place.
        checkpoint: one that holds no config changes nothing.

    Returns:
        What was different, for the user.
    """
    trained = config_in(checkpoint)
    if trained is None or 'model' not in trained:
        return []
    parts, said = ('model', 'data_preprocessor'), []
    if changed := differences(cfg, trained, parts, without=NOT_COMPUTING):
        tested = cfg.model.get('test_cfg') if cfg.model.type == trained.model.type else None
        for part in parts:
            cfg.pop(part, None)
            if part in trained:
                cfg[part] = trained[part]
        if tested:
            cfg.model.test_cfg = tested
        said += [f'{key} {there!r}, not {here!r}' for key, (here, there) in changed.items()]
    sizes = nominal_size(cfg), nominal_size(trained)
    if None not in sizes and sizes[0] != sizes[1]:
        for loader in LOADERS:
            pipelines = [dataset.pipeline for dataset in datasets_of(trained.get(loader)) if 'pipeline' in dataset]
            for dataset in datasets_of(cfg.get(loader)) if pipelines else ():
                dataset.pipeline = pipelines[0]
        if 'tta_pipeline' in trained:
            cfg.tta_pipeline = trained.tta_pipeline
        said.append('pictures of {1[0]}x{1[1]}, not {0[0]}x{0[1]}'.format(*sizes))
    return [f'as {checkpoint} was trained: {listed(said, 6)} (--prefer config: as the config says)'] if said else []


def _is_config(word: str) -> bool:
    return '::' in word or ('://' not in word and Path(word).suffix in _CONFIGS)


def _checkpoint_in(name: str) -> str:
    if '://' in name or not Path(name).is_dir():
        return name
    folder = Path(name, 'last') if Path(name, 'last').is_dir() else Path(name)
    files = sorted(folder.glob('*.pth'), key=lambda file: (file.name.startswith('best_'), file.stat().st_mtime_ns))
    if not files:
        raise SeMmError(f'folder {name} holds no checkpoint (*.pth); expected the folder of a training, or a file')
    return str(files[-1])


def _value(node: ast.expr) -> Any:
    """The value of an expression that ``Config.pretty_text`` writes: literals and calls of ``dict``."""
    match node:
        case ast.Call(func=ast.Name('dict'), args=args, keywords=keywords):
            given = {key: value for arg in args for key, value in _value(arg).items()}
            return dict(given | {keyword.arg: _value(keyword.value) for keyword in keywords})
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True)}
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=name)) if name in _NAMES:
            return -_NAMES[name]
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
    return ast.literal_eval(node)
