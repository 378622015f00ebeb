"""From a trained model to a file that was compared with it."""

from __future__ import annotations

import hashlib
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from torch import nn
from torch.export import ExportedProgram

from ..config.classes import classes_of_model
from ..config.classifiers import read_trained
from ..config.loaders import datasets_of
from ..config.pretrained import local_checkpoint
from ..errors import SeMmError
from ..utils.hashing import digest_of
from ..version import __version__
from .description import Description
from .forms import Form, export_form
from .parity import compare
from .pictures import describe_resizing, of_test_set, prepare, read_picture
from .programs import TARGETS, describe, recorded, write_onnx, write_openvino
from .quantization import MOST_PICTURES, quantizable, quantize_onnx, quantize_openvino
from .runtimes import ExportedFile

#: Calls that are timed, after two that are not.
_TIMED = 10


@dataclass
class Options:
    """What is exported, and what it is compared on.

    Raises:
        SeMmError: for values that do not go together.
    """

    #: ``'onnx'``, ``'openvino'`` or ``'torch'``.
    target: str = 'onnx'
    #: ``'fp32'``, ``'fp16'`` or ``'int8'``.
    precision: str = 'fp32'
    #: What is free of the input: ``'batch'``, ``'size'``.
    dynamic: tuple[str, ...] = ('batch', 'size')
    #: Pictures for the comparison; empty: some of the config's test set.
    images: Sequence[str] = ()
    #: How many of the test set.
    pictures: int = 4
    #: Whether the metric is compared too, on the config's test set; int8 always is.
    validate: bool = False
    #: Pictures for the ranges of int8.
    calibration: Sequence[str] = ()
    #: Whether int8 leaves the attention layers alone.
    keep_gates: bool = True

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise SeMmError(f'--to {self.target}; expected {", ".join(TARGETS)}')
        if wrong := sorted(set(self.dynamic) - {'batch', 'size'}):
            raise SeMmError(f'--dynamic {",".join(wrong)}; expected batch, size, both with a comma, or none')
        if self.precision == 'int8':
            self.validate = True
            if self.target == 'torch':
                raise SeMmError('--int8 is for --to onnx and openvino')
            if not self.calibration:
                raise SeMmError('--int8 needs --calibrate: a folder of training pictures, of which it takes the ranges')


def write_compared(
    model: nn.Module, test_set: Any, cfg: Config, checkpoint: str, path: Path, options: Options
) -> tuple[ExportedFile, list[str]]:
    """Writes a model to a file and compares the two, picture by picture.

    Args:
        model: of mmdet or mmpretrain with its weights, on the CPU, in evaluation.
        test_set, cfg: the config and its test set; ``None`` where the options need none.
        checkpoint: the file that the weights are from.
        path: of the file, without its ending.

    Returns:
        The file, and what was compared in lines for the user.

    Raises:
        SeMmError: if the model cannot be exported, or the file does not give what PyTorch gives.
    """
    resizing = describe_resizing(next(datasets_of(cfg.test_dataloader)).pipeline)
    is_fixed = 'size' not in options.dynamic
    images = {name: read_picture(name) for name in options.images}
    images = images or of_test_set(test_set, options.pictures, resizing if is_fixed else None)
    prepared = {name: prepare(picture, resizing) for name, picture in images.items()}
    image = next(iter(prepared.values()))
    size = image.shape[:2]
    calibration = {name: prepare(read_picture(name), resizing) for name in options.calibration[:MOST_PICTURES]}
    for name, picture in (prepared | calibration).items() if is_fixed else ():
        if picture.shape[:2] != size:
            raise SeMmError(
                f'a file of a fixed size takes the {size[0]}x{size[1]} of the first picture alone, and {name} becomes '
                f'{picture.shape[0]}x{picture.shape[1]}; use --dynamic batch,size, or pictures of one size'
            )
    form = export_form(model, half=options.precision == 'fp16')
    description = _described(cfg, checkpoint, form, resizing, options, size)
    precision = '' if options.precision == 'fp32' else f'_{options.precision}'
    path = path.with_name(f'{path.name}{precision}{TARGETS[options.target]}')
    program = _write(form, size, path, options, [picture[None] for picture in calibration.values()])
    describe(path, description, program)
    file = ExportedFile(path)
    comparison = compare(model, file, images, resizing)
    comparison.check(path.name)
    return file, [*comparison.lines(), _cost(path, image, description.input_size[0] or 1)]


def _described(
    cfg: Config, checkpoint: str, form: Form, resizing: list[dict[str, Any]], options: Options, size: tuple[int, int]
) -> Description:
    is_free = 'size' in options.dynamic
    classes = classes_of_model(cfg, read_trained(checkpoint), checkpoint)
    layer = form.preprocessing
    return Description(
        task=form.task,
        classes=list(classes),
        resizing=resizing,
        input_size=[None if 'batch' in options.dynamic else 1, *((None, None) if is_free else size)],
        least_side=form.least_side if is_free else 1,
        mean=layer.mean.flatten().tolist(),
        std=layer.std.flatten().tolist(),
        to_rgb=layer.swaps_channels,
        outputs=list(form.names),
        thresholds=form.thresholds,
        precision=options.precision,
        config=Path(cfg.filename).name if cfg.filename else '',
        config_sha256=hashlib.sha256(cfg.pretty_text.encode()).hexdigest(),
        checkpoint_sha256=digest_of(Path(local_checkpoint(checkpoint))),
        se_mm_version=__version__,
    )


def _write(
    form: Form, size: tuple[int, int], path: Path, options: Options, calibration: list[np.ndarray]
) -> ExportedProgram:
    program = recorded(form, size, options.dynamic)
    if options.target == 'torch':
        return program
    onnx = path.with_suffix('.onnx')
    nodes = quantizable(write_onnx(program, form, onnx), form, options.keep_gates)
    if options.precision == 'int8' and options.target == 'onnx':
        quantize_onnx(onnx, calibration, nodes)
    if options.target == 'openvino':
        write_openvino(onnx, path, half=options.precision == 'fp16')
        onnx.unlink()
        if options.precision == 'int8':
            quantize_openvino(path, calibration, nodes)
    return program


def _cost(path: Path, image: np.ndarray, batch: int) -> str:
    """The size of a file, and the time of a picture on one thread."""
    file, images = ExportedFile(path, threads=1), np.repeat(image[None], batch, axis=0)
    seconds = []
    for _ in range(_TIMED + 2):
        start = time.process_time()  # not what other processes take
        file(images)
        seconds.append(time.process_time() - start)
    mebibytes = sum(part.stat().st_size for part in _files_of(path)) / 2**20
    milliseconds = 1e3 * statistics.median(seconds[2:]) / batch
    return f'{mebibytes:.1f} MiB, {milliseconds:.1f} ms for {image.shape[0]}x{image.shape[1]} on one thread'


def keep(file: ExportedFile, folder: Path, report: list[str], metric: dict[str, float]) -> Path:
    """Writes into a file what it was compared with, and moves it to a folder; it is not to be used afterwards."""
    path = Path(file.path)
    file.description.compared, file.description.metric = report, metric
    describe(path, file.description)
    for part in _files_of(path):
        shutil.move(part, folder / part.name)
    return folder / path.name


def _files_of(path: Path) -> list[Path]:
    return [path, path.with_suffix('.bin')] if path.suffix == '.xml' else [path]
