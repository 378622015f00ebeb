"""Faults that a config brings into a training, and what the training leaves to compare."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import time
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, TRANSFORMS

from se_mm.weights.files import read_checkpoint


@HOOKS.register_module()
class SignalAt(Hook):
    """Sends this process a signal after an iteration, once: a resumed training goes past it."""

    priority = 'VERY_HIGH'

    def __init__(
        self, iteration: int, number: int = signal.SIGKILL, rank: int | None = None, group: bool = False
    ) -> None:
        self.iteration, self.number, self.rank, self.group = iteration, number, rank, group

    def after_train_iter(self, runner, batch_idx, **_):
        if runner.iter + 1 == self.iteration and not runner._resume and self.rank in (None, runner.rank):
            if self.group:  # as launchers do, who reach the workers of the data too
                os.killpg(os.getpgrp(), self.number)
            else:
                os.kill(os.getpid(), self.number)


@HOOKS.register_module()
class DieWhileSaving(Hook):
    """SIGKILL with half of a checkpoint on the disk: where ours would rename it, or in the file itself as others do."""

    def __init__(self, iteration: int, in_place: bool = False) -> None:
        self.iteration, self.in_place = iteration, in_place

    def before_save_checkpoint(self, runner, checkpoint):
        if checkpoint['meta']['iter'] < self.iteration or runner._resume:
            return

        def die(source, target):
            content = Path(source).read_bytes()
            Path(target if self.in_place else source).write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)

        Path.replace = die


@HOOKS.register_module()
class SignalInValidation(Hook):
    """Sends this process a signal in its first validation, after some batches."""

    priority = 'VERY_HIGH'

    def __init__(self, number: int, after: int = 1) -> None:
        self.number, self.left = number, after

    def after_val_iter(self, runner, batch_idx, **_):
        self.left -= 1
        if self.left <= 0 and not runner._resume:
            os.kill(os.getpid(), self.number)


@HOOKS.register_module()
class FilesOfAtMost(Hook):
    """From an iteration on no file can grow above a size."""

    def __init__(self, size: int, iteration: int) -> None:
        self.size, self.iteration = size, iteration

    def after_train_iter(self, runner, batch_idx, **_):
        if runner.iter + 1 > self.iteration and not runner._resume:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


@HOOKS.register_module()
class Spoil(Hook):
    """Makes a module's output, or a parameter's gradient, NaN in some iterations, in one process or all."""

    priority = 'HIGHEST'

    def __init__(self, iterations, module=None, parameter=None, rank=None) -> None:
        self.iterations, self.module, self.parameter, self.rank = iterations, module, parameter, rank

    def before_train(self, runner):
        model = getattr(runner.model, 'module', runner.model)

        def spoil(value):
            wanted = runner.iter + 1 in self.iterations and self.rank in (None, runner.rank)
            return value * float('nan') if wanted else value

        if self.module:
            model.get_submodule(self.module).register_forward_hook(lambda module, inputs, output: spoil(output))
        if self.parameter:
            model.get_parameter(self.parameter).register_hook(spoil)


@HOOKS.register_module()
class LeaveState(Hook):
    """Writes a hash of the random number generators at the end of a training."""

    priority = 'LOWEST'

    def after_train(self, runner):
        digest = hashlib.sha256(torch.get_rng_state().numpy().tobytes())
        digest.update(repr(random.getstate()).encode())
        digest.update(repr(np.random.get_state()).encode())
        Path(runner.work_dir, f'random_{runner.rank}.txt').write_text(digest.hexdigest())


@HOOKS.register_module()
class Remember(Hook):
    """Keeps a gate's weights after each iteration."""

    priority = 'VERY_LOW'

    def before_train(self, runner):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, **_):
        self.seen.append(runner.model.get_parameter('backbone.layer2.0.se.fc1.weight').detach().clone())


@HOOKS.register_module()
class SlowDown(Hook):
    """Lets an iteration last, so that something can happen in it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def after_train_iter(self, runner, batch_idx, **_):
        time.sleep(self.seconds)


@HOOKS.register_module()
class LeaveImages(Hook):
    """Writes the ids of the images that a process trains on."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, **_):
        with Path(runner.work_dir, f'images_{runner.rank}.txt').open('a') as file:
            file.write(''.join(f'{sample.img_id}\n' for sample in data_batch['data_samples']))


@TRANSFORMS.register_module()
class FailAt(BaseTransform):
    """What a decoder or a transform may do to the process of a worker, at one image and once."""

    def __init__(self, name: str, how: str) -> None:
        self.name, self.how = name, how

    def transform(self, results):
        if not results['img_path'].endswith(self.name):
            return results
        if self.how == 'die':
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.how == 'hang':
            time.sleep(600)
        raise ValueError('a bug in a transform')


def sha256_of_training(work_dir: Path, checkpoint: str) -> str:
    """Of the weights, their average, the optimizer, the schedule and the generators at the end of a training."""
    state = read_checkpoint(work_dir / checkpoint)
    digest = hashlib.sha256((work_dir / 'random_0.txt').read_bytes())
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers'):
        if part != 'ema_state_dict' or part in state:
            _update(digest, state[part])
    return digest.hexdigest()


def _update(digest, node) -> None:
    if isinstance(node, torch.Tensor):
        digest.update(node.numpy().tobytes())
    elif isinstance(node, dict):
        for key, value in sorted(node.items(), key=lambda item: str(item[0])):
            digest.update(str(key).encode())
            _update(digest, value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _update(digest, value)
    else:
        digest.update(repr(node).encode())
