"""From a config and a checkpoint to a file that is only kept if it gives what PyTorch gives."""

from __future__ import annotations

import copy
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn

from ..config.loaders import datasets_of
from ..datasets.validation import preflight
from ..engine import switches
from ..engine.evaluation import load_weights
from ..engine.runner import build_runner, test
from ..errors import SeMmError, listed
from ..evaluation.metrics import USUAL_METRICS, find_metric, share_lost
from ..export import programs, quantization
from ..export.compared_pictures import of_test_set, read_picture, refuse_other_sizes, sizes_of
from ..export.description import Description, described
from ..export.forms import Form, export_form
from ..export.parity import LIMITS, SCALES, SIZES, Comparison, of_file, of_pytorch
from ..export.pictures import describe_resizing, prepare
from ..export.runtimes import ExportedFile, open_exported
from .exported import use_exported

#: Calls that are timed, after two that are not.
_TIMED = 10


@dataclass
class Options:
    """What is exported, and what it is compared on."""

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


@dataclass
class Exported:
    """What was written."""

    file: Path
    #: What was compared, for the user.
    report: list[str]
    metric: dict[str, float]


def export(cfg: Config, checkpoint: str, out: str | Path, options: Options) -> Exported:
    """Exports a trained model.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that ``tools/train.py`` wrote.
        out: the folder of the file, which is called as the config.
        options: what is asked for.

    Raises:
        SeMmError: if the model cannot be exported, or the file does not give what PyTorch gives;
            nothing is left in the folder then.
    """
    cfg, out = copy.deepcopy(cfg), Path(out)
    _check(options)
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out, prefix='.export_')
    except OSError as error:
        raise SeMmError(f'-o {out} is no folder that can be written to: {error}') from error
    with folder as temporary:
        name = Path(cfg.filename).stem if cfg.filename else 'model'
        cfg.work_dir = str(Path(temporary) / 'log')
        if not options.images or options.validate or options.precision == 'int8':
            preflight.check(cfg, ('test',))
        runner = build_runner(cfg, switches.guard_data)
        load_weights(runner, checkpoint)
        return _exported(runner, cfg, checkpoint, Path(temporary), out, name, options)


def _exported(
    runner: Runner, cfg: Config, checkpoint: str, temporary: Path, out: Path, name: str, options: Options
) -> Exported:
    model = runner.model.cpu().eval()
    resizing = describe_resizing(next(datasets_of(cfg.test_dataloader)).pipeline)
    is_fixed = 'size' not in options.dynamic
    images = {path: read_picture(path) for path in options.images}
    images = images or of_test_set(_test_set(runner), options.pictures, resizing if is_fixed else None)
    size = prepare(next(iter(images.values())), resizing).shape[:2]
    calibration = {
        path: prepare(read_picture(path), resizing) for path in options.calibration[: quantization.MOST_PICTURES]
    }
    if is_fixed:
        sizes = {path: prepare(image, resizing).shape[:2] for path, image in images.items()}
        sizes |= {path: image.shape[:2] for path, image in calibration.items()}
        if options.validate or options.precision == 'int8':
            sizes |= sizes_of(_test_set(runner), resizing)
        refuse_other_sizes(sizes, size)
    form = export_form(model, half=options.precision == 'fp16')
    description = described(cfg, checkpoint, form, model, resizing)
    description.precision = options.precision
    description.input_size[0] = None if 'batch' in options.dynamic else 1
    if is_fixed:
        description.input_size[1:], description.least_side = size, 1
    path = temporary / f'{name}{"" if options.precision == "fp32" else "_" + options.precision}'
    path = path.with_name(path.name + programs.TARGETS[options.target])
    _write(form, size, path, description, options, [image[None] for image in calibration.values()])
    file = open_exported(path)
    comparison = compare(model, file, images, resizing)
    report = [*comparison.lines(), _cost(file, path, prepare(next(iter(images.values())), resizing))]
    limits = LIMITS[options.precision]
    if limits.pictures:
        _refuse(comparison, path.name)
    if options.validate or options.precision == 'int8':
        lines, description.metric = _compare_metrics(runner, file, limits.metric)
        report += lines
    description.compared = report
    programs.describe(path, description)
    del file
    for part in programs.files_of(path):
        shutil.move(str(part), str(out / part.name))
    return Exported(out / path.name, report, description.metric)


def compare(
    model: nn.Module, file: ExportedFile, images: dict[str, np.ndarray], resizing: list[dict[str, Any]]
) -> Comparison:
    """Compares a file with the model that it was made from.

    Args:
        model: of PyTorch, on the CPU, in evaluation.
        file: the exported one.
        images: (H, W, 3) as OpenCV reads them, by their names; they are resized as the test
            pipeline does, in three sizes where the file takes any.
        resizing: of :func:`~se_mm.export.pictures.describe_resizing`.
    """
    thresholds = file.description.thresholds
    most = int(thresholds.get('max_per_image', 0))
    limits = LIMITS[file.description.precision]
    comparison = Comparison(limits, score_threshold=thresholds.get('score', 0.0), most=most)
    scales = SCALES if file.description.input_size[1:] == [None, None] else (1.0,)
    for name, picture in images.items():
        resized = (prepare(picture, resizing, scale) for scale in scales)
        large = (image for image in resized if min(image.shape[:2]) >= file.description.least_side)
        for image in islice(large, SIZES):
            comparison.add(Path(name).name, image, of_pytorch(model, image), of_file(file, image))
    return comparison


def _cost(file: ExportedFile, path: Path, image: np.ndarray) -> str:
    """The size of the file, and the time of a picture on one thread."""
    size = sum(part.stat().st_size for part in programs.files_of(path)) / 2**20
    single = open_exported(path, threads=1)
    batch = np.repeat(image[None], file.description.input_size[0] or 1, axis=0)
    seconds = []
    for _ in range(_TIMED + 2):
        start = time.process_time()  # not what other processes take
        single(batch)
        seconds.append(time.process_time() - start)
    height, width = image.shape[:2]
    milliseconds = 1e3 * statistics.median(seconds[2:]) / len(batch)
    return f'{size:.1f} MiB, {milliseconds:.1f} ms for {height}x{width} on one thread'


def _refuse(comparison: Comparison, name: str) -> None:
    if comparison.disagreements:
        raise SeMmError(
            f'{name} does not give what PyTorch gives and is not kept: {len(comparison.disagreements)} disagreements '
            f'in {comparison.pictures} pictures: {"; ".join(comparison.disagreements[:3])}'
        )
    if comparison.most and not comparison.boxes:
        raise SeMmError(
            f'nothing was compared: PyTorch finds no box in {comparison.pictures} pictures, so {name} is not kept; '
            'name pictures with objects by --images, or lower score_thr in model.test_cfg by --cfg-options'
        )


def _compare_metrics(runner: Runner, file: ExportedFile, limit: float) -> tuple[list[str], dict[str, float]]:
    ours = test(runner)
    use_exported(runner, file)
    theirs = test(runner)
    deciding = {found: None for usual in USUAL_METRICS if (found := find_metric(ours, usual))}
    if not deciding:
        raise SeMmError(f'the test_evaluator gives {listed(list(ours))}; expected one of {", ".join(USUAL_METRICS)}')
    lines = []
    for name in deciding:
        difference = abs(share_lost(name, ours[name], theirs[name]))
        lines.append(f'{name} {theirs[name]:.4f}, PyTorch {ours[name]:.4f}')
        if not difference <= limit:
            raise SeMmError(
                f'{file.path} is not kept: {lines[-1]}, which differ by {difference:.4f}; expected {limit} at most'
            )
    return lines, {name: float(value) for name, value in theirs.items() if isinstance(value, (int, float))}


def _write(
    form: Form,
    size: tuple[int, int],
    path: Path,
    description: Description,
    options: Options,
    calibration: list[np.ndarray],
) -> None:
    program = programs.recorded(form, size, options.dynamic)
    if options.target == 'torch':
        programs.describe(path, description, program)
        return
    onnx = path.with_suffix('.onnx')
    nodes = quantization.quantizable(programs.write_onnx(program, form, onnx), form, options.keep_gates)
    if options.precision == 'int8' and options.target == 'onnx':
        quantization.quantize_onnx(onnx, calibration, nodes)
    if options.target == 'openvino':
        programs.write_openvino(onnx, path, half=options.precision == 'fp16')
        onnx.unlink()
        if options.precision == 'int8':
            quantization.quantize_openvino(path, calibration, nodes)
    programs.describe(path, description)


def _check(options: Options) -> None:
    if options.target not in programs.TARGETS:
        raise SeMmError(f'--to {options.target}; expected {", ".join(programs.TARGETS)}')
    if wrong := sorted(set(options.dynamic) - {'batch', 'size'}):
        raise SeMmError(f'--dynamic {",".join(wrong)}; expected batch, size, both with a comma, or none')
    if options.precision == 'int8':
        if options.target == 'torch':
            raise SeMmError('--int8 is for --to onnx and openvino')
        if not options.calibration:
            raise SeMmError('--int8 needs --calibrate: a folder of training pictures, of which it takes the ranges')


def _test_set(runner: Runner) -> Any:
    return runner.build_dataloader(runner._test_dataloader).dataset
