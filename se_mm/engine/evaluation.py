"""What a test needs beside a runner: weights, the deployed form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import Runner, load_state_dict
from torch import nn

from ..compat.compiled import original_name
from ..compat.metadata import metadata_of, set_metadata
from ..config.classifiers import read_trained
from ..errors import SeMmError

#: How a checkpoint is sure to fit.
_ALONE = 'name the checkpoint without a config, where it holds its own'


def deploy(model: nn.Module) -> None:
    """Deploys the SE backbones of a model that has its weights; see :mod:`se_mm.models.deploy`.

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
    runner.hooks[:] = [hook for hook in runner.hooks if not isinstance(hook, EMAHook)]


def load_weights(runner: Runner, checkpoint: str, rows: Sequence[int] | None = None) -> None:
    """Loads a trained model, completely or not at all; a checkpoint's weights are the average, where it has one.

    Args:
        runner: its model is loaded.
        checkpoint: a file, or the name of a published classifier.
        rows: the classes that are taken of a published classifier; ``None``: all.

    Raises:
        SeMmError: if the file is no checkpoint, or not one of this config's model.
    """
    content = read_trained(checkpoint)
    without_averaging(runner)
    state = content.get('state_dict', content)
    if rows is not None:
        *_, weight, bias = [None, None, *(key for key in state if key.startswith('head.'))]  # of the last layer
        if weight is None:
            raise SeMmError(f'--among-folders: the classifier of {checkpoint} is not in its head')
        state = {**state, **{key: state[key][list(rows)] for key in (weight, bias)}}
    load_whole(runner.model, state, checkpoint)
    print_log(f'loaded from {checkpoint}', logger='current')


def load_whole(model: nn.Module, state: Mapping[str, Any], checkpoint: str) -> None:
    """Loads the tensors of a checkpoint, all or none; what wrappers put before and between their names is taken off.

    Raises:
        SeMmError: if they do not fit, or are a plain network's for a model with attention, which would load them.
    """
    wanted = [original_name(name) for name in model.state_dict()]
    try:
        renamed = OrderedDict((original_name(name), value) for name, value in state.items())
        set_metadata(renamed, {original_name(name): entry for name, entry in metadata_of(state).items()})
        there, needed = _attention_keys(renamed), _attention_keys(wanted)
        if there and not needed:
            more = f'{there[0]} and {len(there) - 1} more tensors'
            raise SeMmError(
                f'checkpoint {checkpoint} has attention layers ({more}) and the config none: add --se, or {_ALONE}'
            )
        if needed and not there and any(key in wanted for key in renamed):
            raise SeMmError(
                f"checkpoint {checkpoint} has no attention layers and the config's model has ({needed[0]}): "
                f'leave --se out, or {_ALONE}'
            )
        load_state_dict(model, renamed, strict=True)
    except SeMmError:
        raise
    except Exception as error:  # whatever a file that is not what it should be leads torch and mmdet to
        text = ' '.join(str(error).split())[:600]
        raise SeMmError(f'checkpoint {checkpoint} does not fit the config: {text}; {_ALONE}') from error


def _attention_keys(state: Iterable[str]) -> list[str]:
    """Parameters of attention layers in residual blocks: ours (``se``), mmpretrain's (``se_layer``)."""
    return [key for key in state if {'se', 'se_layer', 'se_module', 'attention'} & set(key.split('.'))]
