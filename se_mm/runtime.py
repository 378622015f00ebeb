"""From a config and a tool's switches to mmengine's Runner."""

from __future__ import annotations

import argparse

import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner, find_latest_checkpoint
from torch import nn

from .cli import existing_file
from .errors import SeMmError
from .weights.files import read_checkpoint
from .weights.in_configs import without_pretrained


def apply_training_switches(cfg: Config, args: argparse.Namespace) -> None:
    """Lays ``tools/train.py``'s switches over the config.

    Raises:
        SeMmError: if a switch asks for what the config or the machine does not have.
    """
    if args.amp:
        if not torch.cuda.is_available():
            raise SeMmError('--amp needs a GPU: mmengine has mixed precision on accelerators only; leave it out here')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SeMmError('--auto-scale-lr needs `auto_scale_lr = dict(base_batch_size=...)` in the config')
        cfg.auto_scale_lr.enable = True
    if args.seed is not None or args.deterministic:
        cfg.randomness = dict(seed=args.seed, deterministic=args.deterministic)
    if args.no_pretrained:
        removed = without_pretrained(cfg.model)
        cfg.load_from = None
        print_log(f'--no-pretrained: random weights in place of {", ".join(removed) or "none that the config names"}')
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else existing_file(args.resume, 'checkpoint to resume from')
        if cfg.load_from:
            _check_resumable(cfg.load_from)
        if cfg.load_from or find_latest_checkpoint(cfg.work_dir):
            without_pretrained(cfg.model)  # what it would load is replaced at once, and need not be fetched
    cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='se_mm.CurvesHook')]


def _check_resumable(checkpoint: str) -> None:
    if '://' in checkpoint:
        return
    content = read_checkpoint(checkpoint)
    meta = content.get('meta')
    if not isinstance(meta, dict) or not {'epoch', 'iter'} <= set(meta) or 'message_hub' not in content:
        raise SeMmError(
            f'checkpoint {checkpoint} holds weights and no state of a training to resume; '
            'start from it with --cfg-options load_from=...'
        )


def build_runner(cfg: Config) -> Runner:
    """The Runner that the config asks for.

    On a machine without a GPU the processes of a launcher talk over gloo; mmengine's own
    set-up assumes CUDA, and leaves a group that exists alone.

    Raises:
        SeMmError: if the config asks for a model, data or hook that cannot be built.
    """
    if cfg.get('launcher', 'none') == 'pytorch' and not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')
    try:
        return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except SeMmError:
        raise
    except PermissionError as error:
        raise SeMmError(f'work_dir {cfg.work_dir} cannot be written to: {error}') from error


def use_test_time_augmentation(cfg: Config) -> None:
    """Puts the config's ``tta_model`` and ``tta_pipeline`` in the place of the plain test.

    Raises:
        SeMmError: if the config has none.
    """
    if 'tta_model' not in cfg or 'tta_pipeline' not in cfg:
        raise SeMmError('--tta needs `tta_model` and `tta_pipeline` in the config')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline


def deploy(model: nn.Module) -> None:
    """Deploys the SE backbones of a model that has its weights; see :mod:`se_mm.backbones.deployment`.

    Raises:
        SeMmError: if it has none.
    """
    from .backbones.se_host import SEHost  # brings mmdet with it, which the other tools do without for a while

    backbones = {name: module for name, module in model.named_modules() if isinstance(module, SEHost)}
    if not backbones:
        raise SeMmError('--deploy folds the norms of SE backbones, and the model has none')
    for backbone in backbones.values():
        backbone.deploy()
    print_log(f'deployed, with the norms in the convolutions: {", ".join(backbones)}', logger='current')


def load_weights(runner: Runner, checkpoint: str) -> None:
    """Loads a trained model, completely or not at all.

    Raises:
        SeMmError: if the file is no checkpoint, or not one of this config's model.
    """
    existing_file(checkpoint, 'checkpoint')
    try:
        runner.load_checkpoint(checkpoint, strict=True)
    except SeMmError:
        raise
    except Exception as error:  # what torch.load and load_state_dict raise for a file that is not what it should be
        lines = ' '.join(str(error).split())
        raise SeMmError(f'checkpoint {checkpoint} does not fit the config: {lines[:600]}') from error
