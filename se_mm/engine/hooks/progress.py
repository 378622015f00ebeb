"""What a training or a test shows on a quiet console."""

from __future__ import annotations

import copy
import datetime
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from tqdm import tqdm

from ...compat.runner import is_training, unwrapped
from ...config.tree import nodes
from ...export.runtimes import ExportedFile
from ...registry import HOOKS
from ...utils.console import say, warn
from ...utils.memory import peak_resident_bytes
from ...visualization.training_curves import metric_labels
from ...weights.published import is_pretrained

#: Where the console is no terminal, a training prints about so many lines of progress.
LINES = 40
#: Steps of the schedule that are looked ahead for the highest learning rate; warm-ups are over by then.
LOOKED_AT = 20_000


@HOOKS.register_module()
class ProgressHook(Hook):
    """Prints what is about to run, a progress line with the time left and the memory, and the metrics."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        loop = runner.train_loop
        say(summary(runner))
        self.bar = _bar(loop.max_iters, initial=loop.iter)
        self.every = max(loop.max_iters // LINES, 1)

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        done = runner.iter + 1
        if self.bar is None or (self.bar.disable and done % self.every and done != runner.max_iters):
            return
        scalars = runner.message_hub.log_scalars
        loss = scalars['train/loss'].mean(10) if 'train/loss' in scalars else float('nan')
        if not self.bar.disable:
            self.bar.set_description(_epoch(runner), refresh=False)
            self.bar.set_postfix_str(f'loss {loss:.3f}, {_memory()}', refresh=False)
            self.bar.update(done - self.bar.n)
            return
        left = datetime.timedelta(seconds=int(runner.message_hub.runtime_info.get('eta', 0)))
        parts = [_epoch(runner), f'iteration {done}/{runner.max_iters}', f'loss {loss:.3f}', f'{left} left', _memory()]
        say(', '.join(filter(None, parts)))

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        when = 'validation'
        if is_training(runner):
            when = f'epoch {runner.epoch}' if _epoch(runner) else f'iteration {runner.iter}'
        say(f'{when}: {", ".join(_metrics(metrics))}')

    def after_train(self, runner: Runner) -> None:
        if self.bar is not None:
            self.bar.close()
        best = next((hook.best_ckpt_path for hook in runner.hooks if getattr(hook, 'best_ckpt_path', None)), None)
        last = Path(runner.work_dir, 'last_checkpoint')
        file = best or (last.read_text().strip() if last.is_file() else None)
        if file:
            file = str(Path(file).relative_to(Path.cwd())) if Path(file).is_relative_to(Path.cwd()) else file
            say(f'{"best" if best else "last"} checkpoint: {file}; what can follow:\n{_next_commands(file)}')

    def before_test(self, runner: Runner) -> None:
        say(summary(runner))

    def before_test_epoch(self, runner: Runner) -> None:
        self.bar = _bar(len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        self.bar.update()

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        self.bar.close()
        say('\n'.join(_metrics(metrics)))


def summary(runner: Runner) -> str:
    """The model, its weights, the schedule, the device and the place of what is written, a line each."""
    lines = {'model': _model(unwrapped(runner)), 'weights': 'the checkpoint'}
    if is_training(runner):
        lines |= {'weights': _weights(runner), 'schedule': _schedule(runner)}
    cuda = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if cuda else f'CPU, threads: {torch.get_num_threads()}'
    processes = get_world_size()
    lines['device'] = f'{device}, {processes} processes' if processes > 1 else device
    lines['written to'] = f'{runner.work_dir} (log: {Path(runner.log_dir, runner.timestamp)}.log)'
    return '\n'.join(f'{name + ":":12}{value}' for name, value in lines.items())


def _next_commands(file: str) -> str:
    scripts = {'__main__.py': 'python -m se_mm {}', 'train.py': 'python tools/{}.py'}
    command = scripts.get(Path(sys.argv[0]).name, 'se-mm {}')
    followed = {'test': '--sheet predictions.png', 'infer': 'photos/ --out seen/', 'export': '-o exported/'}
    return '\n'.join(f'  {command.format(name)} {file} {more}' for name, more in followed.items())


def _memory() -> str:
    """The most memory that was in use: the GPU's, or this process's."""
    if torch.cuda.is_available():
        return f'{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB GPU memory'
    return f'{peak_resident_bytes() / 2**30:.1f} GiB memory'


def _model(model: nn.Module) -> str:
    model = getattr(model, 'module', model)  # of test-time augmentation
    parts = [part for part in (model, getattr(model, 'backbone', None)) if part is not None]
    if isinstance(getattr(model, 'file', None), ExportedFile):
        return f'exported, {model.file.path}'
    counts = [sum(p.numel() for p in part.parameters()) / 1e6 for part in parts]
    texts = [f'{type(p).__name__} ({count:.1f}M parameters)' for p, count in zip(parts, counts, strict=True)]
    return ', backbone '.join(texts)


def _weights(runner: Runner) -> str:
    if loaded := runner.cfg.get('load_from'):
        return f'{"resumed" if runner.cfg.get("resume") else "loaded"} from {loaded}'
    named = [str(node.get('checkpoint')) for _, node in nodes(runner.cfg.model) if is_pretrained(node)]
    return ', '.join(dict.fromkeys(named)) or 'random'


def _schedule(runner: Runner) -> str:
    batch = getattr(runner.train_dataloader.batch_sampler, 'batch_size', '?')
    epochs = f'{runner.max_epochs} epoch{"s" * (runner.max_epochs > 1)}, ' if _epoch(runner) else ''
    text = f'{epochs}{runner.max_iters} iterations of {batch} images'
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    if optimizer is None:
        return text
    asked, reached = max(group.get('initial_lr', group['lr']) for group in optimizer.param_groups), highest_rate(runner)
    text += f', {type(optimizer).__name__} with learning rate {"up to " * (reached > asked)}{max(reached, asked):g}'
    if reached < 0.9 * asked and not runner.iter:  # a training that goes on may have its highest rates behind it
        warn(f'the learning rate of {asked:g} is not reached: {reached:g} is the highest that param_scheduler gives')
        text += f', of which {reached:g} at most is reached'
    return text


def highest_rate(runner: Runner) -> float:
    """The highest learning rate of the steps that are left, of the first :data:`LOOKED_AT` if there are more."""
    optimizer, groups = runner.optim_wrapper.optimizer, runner.param_schedulers or []
    rates = [{key: value for key, value in group.items() if key != 'params'} for group in optimizer.param_groups]

    def step() -> None:
        """Counts as the optimizer's, for which schedulers look."""

    step._with_counter = True
    ahead = SimpleNamespace(param_groups=rates, step=step, _global_step=1)
    known = {id(each): ahead for each in (optimizer, runner.optim_wrapper)}
    schedulers = [copy.deepcopy(each, dict(known)) for each in groups if not hasattr(each, 'monitor')]
    highest, length = 0.0, len(runner.train_dataloader)
    for iteration in range(runner.iter, min(runner.max_iters, runner.iter + LOOKED_AT)):
        highest = max(highest, *(group['lr'] for group in rates))
        for scheduler in schedulers:
            if not scheduler.by_epoch or (iteration + 1) % length == 0:
                scheduler.step()
    return highest


def _epoch(runner: Runner) -> str:
    """Which epoch it is in, of how many; empty in a loop over iterations, which has none."""
    has_none = isinstance(runner.train_loop, IterBasedTrainLoop)
    return '' if has_none else f'epoch {runner.epoch + 1}/{runner.max_epochs}'


def _metrics(metrics: Mapping[str, Any] | None) -> list[str]:
    numbers = {name: value for name, value in (metrics or {}).items() if isinstance(value, (int, float))}
    return [f'{label} {numbers[name]:.3f}' for name, label in metric_labels(numbers).items() if numbers[name] >= 0]


def _bar(total: int, initial: int = 0) -> tqdm:
    on_terminals_alone = None if is_main_process() else True
    return tqdm(total=total, initial=initial, disable=on_terminals_alone, unit='it', dynamic_ncols=True)
