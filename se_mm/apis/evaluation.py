"""What a test needs beside a runner: weights, test-time augmentation, the deployed form."""

from __future__ import annotations

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from ..errors import SeMmError
from ..utils.paths import existing_file


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
    """Deploys the SE backbones of a model that has its weights; see :mod:`se_mm.export.deployment`.

    Raises:
        SeMmError: if it has none.
    """
    from ..models.hosts.attention_host import (
        AttentionHost,  # brings mmdet with it, which the other tools do without for a while
    )

    backbones = {name: module for name, module in model.named_modules() if isinstance(module, AttentionHost)}
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
