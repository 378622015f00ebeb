"""What a test needs beside a runner: weights, test-time augmentation, the deployed form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ..compat.checkpoints import log_classes_allowed
from ..config.loaders import datasets_of
from ..errors import SeMmError, listed
from ..utils.console import prints_logged
from ..weights.files import read_checkpoint

#: What data-parallel training and ``torch.compile`` put before and between the names of tensors.
_WRAPPERS = [(r'^module\.', ''), (r'(^|\.)_orig_mod\.', r'\1')]


def use_test_time_augmentation(cfg: Config) -> None:
    """Puts the config's ``tta_model`` and ``tta_pipeline`` in the place of the plain test.

    Raises:
        SeMmError: if the config has none.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise SeMmError('--tta needs `tta_model` and `tta_pipeline` in the config')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    for dataset in datasets_of(cfg.test_dataloader):
        dataset.pipeline = cfg.tta_pipeline


def deploy(model: nn.Module) -> None:
    """Deploys the SE backbones of a model that has its weights; see :mod:`se_mm.export.deployment`.

    Raises:
        SeMmError: if it has none.
    """
    from ..models.hosts.attention_host import AttentionHost  # imports mmdet, which is slow

    backbones = {name: module for name, module in model.named_modules() if isinstance(module, AttentionHost)}
    if not backbones:
        raise SeMmError('--deploy folds the norms of SE backbones, and the model has none')
    for backbone in backbones.values():
        backbone.deploy()
    print_log(f'deployed, with the norms in the convolutions: {", ".join(backbones)}', logger='current')


def without_averaging(runner: Runner) -> None:
    """Takes out the hooks that average the weights of a training, which a test has none of."""
    runner._hooks[:] = [hook for hook in runner._hooks if not isinstance(hook, EMAHook)]


def load_weights(runner: Runner, checkpoint: str) -> None:
    """Loads a trained model, completely or not at all; a checkpoint's weights are the average, where it has one.

    Raises:
        SeMmError: if the file is no checkpoint, or not one of this config's model.
    """
    content = read_checkpoint(checkpoint)
    without_averaging(runner)
    state: Mapping[str, Any] = content.get('state_dict', content)
    try:
        with log_classes_allowed(), prints_logged():  # mmengine reads the file again
            runner.load_checkpoint(checkpoint, strict=True, revise_keys=_WRAPPERS)
    except SeMmError:
        raise
    except Exception as error:  # what torch.load and load_state_dict raise for a file that is not what it should be
        raise mismatch(runner.model, state, checkpoint, error) from error
    check_attention(runner.model, state, checkpoint)


def check_attention(model: nn.Module, state: Mapping[str, Any], checkpoint: str) -> None:
    """Refuses a plain network's checkpoint for a model with attention, which would load it.

    Raises:
        SeMmError: if the model has attention layers and the checkpoint none, or the reverse.
    """
    there, wanted = _attention_keys(state), _attention_keys(model.state_dict())
    if bool(there) == bool(wanted):
        return
    if there:
        said = f'has attention layers ({there[0]} and {len(there) - 1} more tensors) and the config none: add --se'
    else:
        said = f"has no attention layers and the config's model has ({wanted[0]}): leave --se out"
    raise SeMmError(f'checkpoint {checkpoint} {said}, or use the config in its work_dir{_config_beside(checkpoint)}')


def mismatch(model: nn.Module, state: Mapping[str, Any], checkpoint: str, error: Exception) -> SeMmError:
    """Why a checkpoint does not load into a model, in one line.

    Args:
        model: of the config.
        state: the checkpoint's tensors; empty where it cannot be read.
        checkpoint: the file.
        error: what loading it raised.
    """
    wanted = model.state_dict()
    if not isinstance(state, Mapping) or not any(key in wanted for key in state):
        return SeMmError(
            f'checkpoint {checkpoint} does not fit the config: {" ".join(str(error).split())[:600]}; '
            f'expected one that tools/train.py wrote with this config{_config_beside(checkpoint)}'
        )
    try:
        check_attention(model, state, checkpoint)
    except SeMmError as found:
        return found
    groups = {
        'missing': [key for key in wanted if key not in state],
        'not in the model': [key for key in state if key not in wanted],
        'of another shape': [
            f'{key} {tuple(state[key].shape)}, expected {tuple(wanted[key].shape)}'
            for key in wanted
            if key in state and getattr(state[key], 'shape', None) != wanted[key].shape
        ],
    }
    said = '; '.join(f'{len(keys)} tensors {kind} ({listed(keys, 2)})' for kind, keys in groups.items() if keys)
    return SeMmError(
        f'checkpoint {checkpoint} does not fit the config: {said or " ".join(str(error).split())[:600]}; '
        f'use the config in its work_dir{_config_beside(checkpoint)}, and its --classes'
    )


def _attention_keys(state: Mapping[str, Any]) -> list[str]:
    """Parameters of attention layers in residual blocks: ours (``se``), mmpretrain's (``se_layer``)."""
    return [key for key in state if {'se', 'se_layer', 'attention'} & set(key.split('.'))]


def _config_beside(checkpoint: str) -> str:
    """The config that a training left beside its checkpoint, for a message."""
    found = [] if '://' in checkpoint else sorted(Path(checkpoint).absolute().parent.glob('*.py'))
    return f' ({found[0]})' if len(found) == 1 else ''
