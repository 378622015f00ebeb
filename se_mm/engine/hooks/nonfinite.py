"""Losses and gradients that are not finite: names the cause, and stops the run after too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ...compat.foreach import copy_all
from ...compat.runner import unwrapped
from ...errors import SeMmError, listed
from ...registry import HOOKS
from ..optim_wrappers import SkippingOptimWrapper, all_finite
from ..repeatable import seed_all


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Names what made a step non-finite, counts such steps, and stops after too many in a row.

    The batch is run through the model again to find the first module whose output is not finite although its inputs
    are. Running statistics of norms are restored. An overflow that only lowers AMP's loss scale is not counted.

    Args:
        limit: skipped steps in a row after which the training stops.
    """

    priority = 'VERY_HIGH'

    def __init__(self, limit: int = 10) -> None:
        self.limit = limit
        self.in_a_row = 0
        self.total = 0
        self._earlier: list[str] = []  # images of the batches before in an accumulated step

    def before_train(self, runner: Runner) -> None:
        self._watches = isinstance(runner.optim_wrapper, SkippingOptimWrapper)
        if not self._watches:
            name = type(runner.optim_wrapper).__name__
            runner.logger.warning(f'steps that are not finite are not left out: optim_wrapper is a {name}')
        modules = runner.model.modules()
        self._places = [(module, name) for module in modules for name, _ in module.named_buffers(recurse=False)]
        self._before = [buffer.clone() for buffer in self._buffers]

    @property
    def _buffers(self) -> list[Tensor]:
        """The present ones: a hook may have put others in their place (mmpretrain's PreciseBNHook)."""
        return [getattr(module, name) for module, name in self._places]

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        if self._watches:
            runner.optim_wrapper.skipped = False  # until the next step, where gradients are accumulated
            copy_all(self._buffers, self._before)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if not self._watches:
            return
        if runner.optim_wrapper.skipped:
            self._report(runner, data_batch, loss_is_finite=all_finite(list(_tensors(outputs))))
        elif runner.optim_wrapper.should_update():
            self.in_a_row, self._earlier = 0, []
        elif not all_finite(list(_tensors(outputs))):  # between two accumulated steps: the next is not finite either
            self._earlier += _image_names(data_batch)
            copy_all(self._before, self._buffers)

    def after_train(self, runner: Runner) -> None:
        if self.total:
            runner.logger.warning(f'{self.total} of {runner.iter} iterations were left out: not finite')

    def _report(self, runner: Runner, data_batch: Any, loss_is_finite: bool) -> None:
        earlier, self._earlier = self._earlier, []
        if runner.optim_wrapper.tolerates and all(all_gather_object(loss_is_finite)):
            copy_all(self._before, self._buffers)
            return
        images = listed([*earlier, *_image_names(data_batch)])
        report = f'{_cause(runner, data_batch, loss_is_finite)} is not finite for the images {images}'
        gathered = all_gather_object((loss_is_finite, report))
        copy_all(self._before, self._buffers)
        self.in_a_row += 1
        self.total += 1
        reports = [report for finite, report in gathered if not finite] or [report for _, report in gathered]
        causes = '; '.join(dict.fromkeys(reports))
        report = f'iteration {runner.iter + 1} is left out ({self.in_a_row} in a row, {self.total} in all): {causes}'
        runner.logger.warning(report)
        if self.in_a_row >= self.limit:
            raise SeMmError(
                f'training stops: {report}. Lower the learning rate, clip the gradients '
                '(--cfg-options optim_wrapper.clip_grad.max_norm=35), or look at the data that are named'
            )


def _cause(runner: Runner, data_batch: Any, loss_is_finite: bool) -> str:
    model = unwrapped(runner)
    where = _first_non_finite(runner, data_batch)  # in every process: norms may talk to each other
    damaged = [name for name, parameter in model.named_parameters() if not all_finite([parameter])]
    if damaged:
        return f'the parameter {listed(damaged, 3)}'
    if where or not loss_is_finite:
        return where or 'the loss'
    parameters = {*runner.optim_wrapper.nonfinite_params}
    names = [name for name, parameter in model.named_parameters() if parameter in parameters]
    return f'with a finite loss the gradient of {listed(names[::-1], 3)}'  # in the order of the backward


def _image_names(data_batch: Any) -> list[str]:
    """The ids and the paths of the images of a batch, as far as they have them."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    names = []
    for sample in samples if isinstance(samples, (list, tuple)) else ():
        known = getattr(sample, 'metainfo', {})
        identity = [f'{key} {known[key]}' for key in ('img_id', 'sample_idx') if key in known][:1]
        path = [f'({known["img_path"]})'] if 'img_path' in known else []
        names.append(' '.join(identity + path) or 'without a name')
    return names or ['of an unknown batch']


def _first_non_finite(runner: Runner, data_batch: Any) -> str | None:
    """Runs a batch again, with the same random numbers; names the first module that made it non-finite, or the data."""
    model = unwrapped(runner)
    names = {module: name for name, module in model.named_modules()}
    found: list[str] = []

    def watch(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and not all_finite(list(_tensors(output))):
            inside = all_finite(list(_tensors(inputs)))
            found.append(f'the output of {names[module]}' if inside else f'the input of {names[module]}')

    seed_all(runner.seed, get_rank(), runner.iter, 0)
    with ExitStack() as stack:
        # On each module, not for all at once: a fused tail calls its norm and its gate where they have hooks.
        for module in names:
            stack.callback(module.register_forward_hook(watch).remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(runner.optim_wrapper.optim_context(model))
        stack.enter_context(suppress(Exception))  # of whatever follows from what is not finite
        data = model.data_preprocessor(data_batch, True)
        if not all_finite(list(_tensors(data))):
            found.append('the data')  # and on: in a distributed run the others run the model too
        model(**data, mode='loss') if isinstance(data, dict) else model(*data, mode='loss')
    return found[0] if found else None


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)
