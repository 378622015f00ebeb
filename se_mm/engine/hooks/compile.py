"""``torch.compile`` of the backbones."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...compat.runner import unwrapped
from ...errors import SeMmError
from ...registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the backbones with ``torch.compile``; checkpoint keys do not change.

    mmengine's own ``compile`` takes the whole training step, whose control flow breaks the graph in a detector.
    """

    def before_train(self, runner: Runner) -> None:
        modules = unwrapped(runner).named_modules()
        backbones = [module for name, module in modules if name.split('.')[-1] == 'backbone']
        if not backbones:
            raise SeMmError('--compile compiles the backbones, and the model has none')
        for backbone in backbones:
            backbone.compile()
