"""``torch.compile`` of the backbones."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...errors import SeMmError
from ...registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the backbones with ``torch.compile``.

    mmengine's own ``compile`` takes the whole training step, whose control flow breaks the graph
    in a detector. Checkpoint keys do not change.
    """

    def before_train(self, runner: Runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        backbones = [module for name, module in model.named_modules() if name.split('.')[-1] == 'backbone']
        if not backbones:
            raise SeMmError('--compile compiles the backbones, and the model has none')
        for backbone in backbones:
            backbone.compile()
