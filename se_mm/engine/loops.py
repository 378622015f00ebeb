"""mmengine's training loops, resumed at the next batch."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import get_rank
from mmengine.runner import EpochBasedTrainLoop as _EpochBasedTrainLoop
from mmengine.runner import IterBasedTrainLoop as _IterBasedTrainLoop
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat.runner import FromIteration
from ..registry import LOOPS
from ..utils.console import warn
from .repeatable import Reader

#: Key in the message hub, which each checkpoint contains, for the position within the epoch.
POSITION = 'batches_of_epoch'
#: Key for the length that the training, and with it its schedules, was started for: a number and its unit.
STARTED_FOR = 'started_for'


@LOOPS.register_module()
class EpochBasedTrainLoop(_EpochBasedTrainLoop):
    """Epochs, in which each iteration depends on the seed and its number only; resumes within an epoch.

    The loader's batches come from :class:`~se_mm.engine.repeatable.RepeatableBatchSampler`.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(runner, _build_loader(runner, dataloader), **kwargs)

    def run(self) -> Any:
        _compare_length(self.runner, self.max_epochs, 'epochs')
        end = self.iter + (self.max_epochs - self.epoch) * len(self.dataloader) - self.batches_done()
        if end != self.max_iters:
            warn(
                f'an epoch has {len(self.dataloader)} batches, and had another number when the checkpoint was written: '
                f'the training ends at iteration {end}; schedules by iteration keep their old length'
            )
            self._max_iters = end
            self.runner.optim_wrapper.initialize_count_status(self.runner.model, self.iter, end)
        return super().run()

    def run_epoch(self) -> None:
        self.skipped_batches = self.batches_done()
        self.dataloader.batch_sampler.go_to(self.iter, skip=self.skipped_batches)
        super().run_epoch()

    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        idx += self.skipped_batches
        position = {'epoch': self.epoch, 'done': idx + 1, 'all': len(self.dataloader)}
        self.runner.message_hub.update_info(POSITION, position)  # as it is after this iteration, where hooks may save
        super().run_iter(idx, data_batch)

    def batches_done(self) -> int:
        """Batches of the next epoch that were trained on before the run was interrupted."""
        position = self.runner.message_hub.runtime_info.get(POSITION)
        is_of_this_epoch = position and position['epoch'] == self.epoch and position['all'] == len(self.dataloader)
        return position['done'] if is_of_this_epoch else 0


@LOOPS.register_module()
class IterBasedTrainLoop(_IterBasedTrainLoop):
    """Iterations that depend on the seed and their number only; resumes without reading the batches before.

    The loader's batches come from an endless :class:`~se_mm.engine.repeatable.RepeatableBatchSampler`.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | Mapping[str, Any], **kwargs: Any) -> None:
        if kwargs.pop('fast_forward_on_resume', False):
            warn('fast_forward_on_resume is ignored: a resumed training reads no batch that it was trained on')
        super().__init__(runner, _build_loader(runner, dataloader), **kwargs)

    def run(self) -> Any:
        _compare_length(self.runner, self.max_iters, 'iterations')
        self.dataloader_iterator = FromIteration(self.dataloader, self.iter)
        return super().run()


def is_validation_due(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> bool:
    """Whether a training that came here without a stop would have been validated just now."""
    if isinstance(loop, IterBasedTrainLoop):
        now, last = loop.iter, loop.max_iters
    elif loop.batches_done():
        return False
    else:
        now, last = loop.epoch, loop.max_epochs
    interval = loop.dynamic_intervals[bisect(loop.dynamic_milestones, now + 1) - 1]
    return now >= loop.val_begin and (now % interval == 0 or now == last)


def _compare_length(runner: Runner, length: int, unit: str) -> None:
    """Warns where a training is resumed for another length: mmengine resumes the schedules as they were."""
    info, this = runner.message_hub.runtime_info, {'length': length, 'unit': unit}
    started = this
    if runner.cfg.get('resume'):  # checkpoints of other trainers have only where the last start would have ended
        last = info.get('max_epochs' if unit == 'epochs' else 'max_iters', length)
        started = info.get(STARTED_FOR) or {'length': last, 'unit': unit}
    runner.message_hub.update_info(STARTED_FOR, started)
    if runner.param_schedulers and started != this:
        switch = '--epochs' if started['unit'] == 'epochs' else '--iters'
        warn(
            f'the training was started for {started["length"]} {started["unit"]}, this command ends at {length} '
            f'{unit}: the learning rate goes on as the schedule of the checkpoint has it; '
            f'{switch} {started["length"]} goes on as it was'
        )


def _build_loader(runner: Runner, dataloader: DataLoader | Mapping[str, Any]) -> DataLoader:
    different_seeds = (runner.cfg.get('randomness') or {}).get('diff_rank_seed', False)
    loader = runner.build_dataloader(dataloader, seed=runner.seed, diff_rank_seed=different_seeds)
    object.__setattr__(loader, 'batch_size', loader.batch_sampler.batch_size)  # torch forgets it; hooks read it
    Reader.of(loader, runner.seed, get_rank())
    return loader
