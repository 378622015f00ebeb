"""The pretrained weights that a config names."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import SeMmError
from ..utils.paths import existing_file, local_file
from ..weights import published
from .keys import class_of
from .tree import dotted, nodes


def pretrained_in(node: Any, key: str = 'model') -> Iterator[tuple[str, Any, Any]]:
    """Each ``Pretrained`` initialisation: its dotted key, the dictionary or list that holds it, and its key there.

    Example:
        >>> model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='a.pth')))
        >>> [name for name, _, _ in pretrained_in(model)]
        ['model.backbone.init_cfg']
    """
    children = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, MutableMapping) else ()
    for name, value in list(children):
        if published.is_pretrained(value) or (name == 'pretrained' and isinstance(value, str)):
            yield f'{key}.{name}', node, name
        else:
            yield from pretrained_in(value, f'{key}.{name}')


def named_weights(cfg: Config) -> dict[str, str]:
    """The checkpoints that a config starts from, by the keys that name them.

    Example:
        >>> cfg = Config(dict(load_from='b.pth', model=dict(pretrained='torchvision://resnet50')))
        >>> named_weights(cfg)
        {'model.pretrained': 'torchvision://resnet50', 'load_from': 'b.pth'}
    """
    named = {}
    for key, node, name in pretrained_in(cfg.model):
        checkpoint = node[name] if isinstance(node[name], str) else node[name].get('checkpoint')
        if not isinstance(checkpoint, str):
            raise SeMmError(f'{key} is of type Pretrained and names no checkpoint: {dict(node[name])}')
        named[key] = checkpoint
    if cfg.get('load_from'):
        named['load_from'] = cfg.load_from
    return named


def without_pretrained(model: MutableMapping[str, Any]) -> list[str]:
    """Takes every named checkpoint out of a model's config, in place; returns the keys that held one."""
    removed = []
    for key, node, name in reversed(list(pretrained_in(model))):
        if isinstance(node, list):
            del node[name]
        else:
            node[name] = None
        removed.append(key)
    return removed[::-1]


def start_random(cfg: Config) -> list[str]:
    """Takes out the weights that a config names, and what is meant for them: frozen stages, norms that do not learn.

    Args:
        cfg: changed in place.

    Returns:
        What changed, for the user; empty where nothing did.
    """
    removed = without_pretrained(cfg.model) + ['load_from'] * bool(cfg.get('load_from'))
    cfg.load_from = None
    freed = []
    for keys, node in nodes({'model': cfg.model}):
        frozen = {'frozen_stages': node.get('frozen_stages', -1) >= 0}
        frozen['norm_eval'] = node.get('norm_eval', keys[-1:] == ('backbone',) and _keeps_norms(node, cfg))
        for key, value in (('frozen_stages', -1), ('norm_eval', False)):
            if frozen[key]:
                freed.append(f'{dotted((*keys, key))} {node.get(key, True)} -> {value}')
                node[key] = value
        if (node.get('norm_cfg') or {}).get('requires_grad') is False:
            freed.append(f'{dotted((*keys, "norm_cfg.requires_grad"))} False -> True')
            node['norm_cfg']['requires_grad'] = True
    said = [f'--no-pretrained: random weights in place of {", ".join(removed)}'] if removed else []
    return said + ([f'--no-pretrained: nothing that is random stays frozen: {", ".join(freed)}'] if freed else [])


def _keeps_norms(node: Mapping[str, Any], cfg: Config) -> bool:
    """Whether the class of a network keeps the statistics of its norms, unless it is told not to."""
    kind = class_of({'type': node.get('host', node.get('type'))}, cfg.get('default_scope'))
    for base in kind.__mro__[:-1] if kind else ():
        if parameter := inspect.signature(base.__init__).parameters.get('norm_eval'):
            return parameter.default is True
    return False


def fetch(cfg: Config) -> None:
    """Puts every checkpoint that a config names into the cache and reads it, before anything is built.

    Processes need not meet here: each waits for a download only as long as another one has it.

    Raises:
        SeMmError: if one is missing, cannot be fetched, or is damaged; the message names the key.
    """
    for key, name in named_weights(cfg).items():
        file = local_file(name)
        if file and str(file) != name:  # mmengine reads neither ~ nor file://
            name = str(file)
            cfg.merge_from_dict({_option(key): name})
        try:
            if published.resolve(name) or file:
                published.read(name, 'meta')
        except SeMmError as error:
            raise SeMmError(f'{key}: {error}') from error


def local_checkpoint(name: str) -> str:
    """The file of a checkpoint that a user names, fetched where the name is a URL.

    Raises:
        SeMmError: if it is missing or cannot be fetched.
    """
    weights = published.resolve(name)
    return str(weights.fetch()) if weights else existing_file(name, 'checkpoint')


def local_model(name: str) -> str:
    """The name of a published classifier as it is, else :func:`local_checkpoint`."""
    return name if published.is_published(name) else local_checkpoint(name)


def bundle(cfg: Config, folder: Path) -> list[str]:
    """Copies every checkpoint that a config names into a folder that ``TORCH_HOME`` can name; its other files stay.

    Returns:
        What was copied, and how to use it.

    Raises:
        SeMmError: if a checkpoint is missing, cannot be fetched or written.
    """
    lines, options, homes = [], [], [f'TORCH_HOME={folder}']
    copies: dict[str, Path] = {}  # of local files
    try:
        for key, name in named_weights(cfg).items():
            try:
                weights = published.resolve(name)
                file = weights.copy_into(folder) if weights else Path(local_checkpoint(name)).absolute()
            except SeMmError as error:
                raise SeMmError(f'{key}: {error}') from error
            if weights is None:
                folder.mkdir(parents=True, exist_ok=True)
                is_taken = any(copy.name == file.name for source, copy in copies.items() if source != str(file))
                copy = copies.setdefault(str(file), folder / (f'{len(copies)}_' * is_taken + file.name))
                file = Path(shutil.copyfile(file, copy))
                options.append(f'{_option(key)}={file}')
            elif isinstance(weights, published.OnHub):
                homes[1:] = [f'HF_HOME={folder}/huggingface', 'HF_HUB_OFFLINE=1']
            lines.append(f'{key} = {name}: {file}')
    except OSError as error:
        raise SeMmError(f'-o {folder} cannot be written to: {error}') from error
    if not lines:
        return ['the config names no weights: nothing to bundle']
    given = f' --cfg-options {" ".join(options)}' if options else ''
    return [*lines, f'on the machine without a network: {" ".join(homes)} se-mm train CONFIG{given}']


def _option(key: str) -> str:
    """The key of ``--cfg-options`` that names a checkpoint in place of another."""
    return key if key == 'load_from' or key.endswith('.pretrained') else f'{key}.checkpoint'


def status(cfg: Config) -> tuple[list[str], bool]:
    """A line for each checkpoint that a config names (cached, whole, reachable), and whether all can be had."""
    lines, all_there = [], True
    for key, name in named_weights(cfg).items():
        there, line = _status(name)
        lines.append(f'{key} = {name}: {line}')
        all_there &= there
    return lines or ['the config names no weights'], all_there


def _status(name: str) -> tuple[bool, str]:
    try:
        weights = published.resolve(name)
    except SeMmError as error:
        return False, f'unknown ({error})'
    if weights is None:
        file = local_file(name)
        if file is None:
            return False, "cannot be checked: the scheme is mmengine's own"
        return file.is_file(), 'a local file' + (', there' if file.is_file() else f', missing ({file.absolute()})')
    if file := weights.cached():
        whole = weights.is_whole(file)
        known = f'sha256 begins with {weights.sha256}' if weights.sha256 else 'no hash is published'
        state = f'cached, {known}' if whole else f'cached, but DAMAGED (sha256 must begin with {weights.sha256})'
        return whole, f'{state}: {file}'
    where = weights.url
    if weights.source != weights.url:
        where = f'{weights.source} (the mirror of a host that is gone)'
    if weights.is_reachable():
        return True, f'not cached, reachable: {where}'
    return False, f'not cached, NOT reachable: {where} ({weights.by_hand()})'
