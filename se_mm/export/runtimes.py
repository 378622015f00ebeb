"""Running an exported file: ONNX Runtime, OpenVINO, or a program of torch.export."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ..errors import SeMmError
from .description import Description

#: The entry of an OpenVINO model's rt_info, and the extra file of a program of torch.export, that hold the metadata.
SECTION = 'se_mm'


class ExportedFile:
    """A file that ``tools/export.py`` wrote, ready to run on the CPU.

    Args:
        path: ``.onnx`` for ONNX Runtime, ``.xml`` (its ``.bin`` beside it) for OpenVINO, ``.pt2`` for torch.
        threads: of the CPU; ``None``: as many as torch has.

    Raises:
        SeMmError: if the file or its runtime is missing, it cannot be read, or it describes nothing.
    """

    #: What the file says about itself.
    description: Description

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = str(path)
        if not is_exported(self.path):
            raise SeMmError(f'{path} is no exported model; expected a name that ends with {", ".join(RUNTIMES)}')
        if not Path(path).is_file():
            raise SeMmError(f'exported model {path} does not exist (looked in {Path(path).absolute()})')
        try:
            self._run, entries = RUNTIMES[Path(path).suffix](self.path, threads or torch.get_num_threads())
        except SeMmError:
            raise
        except Exception as error:  # each runtime has its own
            raise SeMmError(f'exported model {path} cannot be read: {reason(error)}') from error
        self.description = Description.of_entries(entries, self.path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for a batch, (N, H, W, 3), uint8, BGR.

        Raises:
            SeMmError: if these are no such pictures, the file takes another size, or its runtime fails.
        """
        shape, wanted, least = images.shape, self.description.input_size, self.description.least_side
        if images.dtype != np.uint8 or images.ndim != 4 or shape[3] != 3:
            raise SeMmError(f'{self.path} takes pictures (N, H, W, 3) of uint8, got {tuple(shape)} of {images.dtype}')
        given = ' x '.join(map(str, shape[:3]))
        if any(want not in (None, have) for want, have in zip(wanted, shape[:3], strict=True)):
            expected = ' x '.join(str(want or 'any') for want in wanted)
            raise SeMmError(f'{self.path} takes {expected} pixels, got {given}; export it with --dynamic batch,size')
        if min(shape[1:3]) < least:
            raise SeMmError(
                f'{self.path} takes pictures of {least} pixels and more a side, got {shape[1]} x {shape[2]}; '
                'resize them first'
            )
        try:
            outputs = self._run(np.ascontiguousarray(images))
        except Exception as error:  # each runtime has its own
            hint = '' if wanted[1] else '; a network with layers of a fixed size, as FcaLayer, needs --dynamic batch'
            raise SeMmError(f'{self.path} cannot be run on {given}: {reason(error)}{hint}') from error
        return dict(zip(self.description.outputs, outputs, strict=True))


#: What the loader of a runtime gives: a function from a batch to the outputs in their order, and the file's metadata.
Loaded = tuple[Callable[[np.ndarray], list[np.ndarray]], Mapping[str, str]]


def _load_onnx(path: str, threads: int) -> Loaded:
    session = onnx_session(path, threads)
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images}), session.get_modelmeta().custom_metadata_map


def _load_openvino(path: str, threads: int) -> Loaded:
    model = imported('openvino').Core().read_model(path)
    request = openvino_request(model, threads)
    entries = model.get_rt_info([SECTION]).value if model.has_rt_info([SECTION]) else {}
    entries = {name: str(getattr(value, 'value', value)) for name, value in entries.items()}
    return lambda images: [np.array(output) for output in request.infer([images]).values()], entries


def _load_torch(path: str, threads: int) -> Loaded:
    from . import detection_operators  # noqa: F401 (registers what the program calls)

    extra: dict[str, Any] = {SECTION: ''}
    module = torch.export.load(path, extra_files=extra).module()

    @torch.no_grad()
    def run(images: np.ndarray) -> list[np.ndarray]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return [output.numpy() for output in module(torch.from_numpy(images))]
        finally:
            torch.set_num_threads(before)

    return run, json.loads(extra[SECTION] or '{}')


#: By the ending of the file.
RUNTIMES: dict[str, Callable[[str, int], Loaded]] = {'.onnx': _load_onnx, '.xml': _load_openvino, '.pt2': _load_torch}


def is_exported(path: str) -> bool:
    """Whether a name is that of an exported file rather than of a config or checkpoint.

    Example:
        >>> is_exported('work_dirs/demo/model.onnx'), is_exported('epoch_12.pth')
        (True, False)
    """
    return Path(path).suffix in RUNTIMES


def onnx_session(path: str, threads: int) -> Any:
    """An ONNX file in ONNX Runtime, on a number of CPU threads and without its warnings."""
    runtime = imported('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return runtime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def openvino_request(model: Any, threads: int) -> Any:
    """A model of OpenVINO, or a file that it reads, ready for pictures one by one on the CPU, in float32."""
    settings = {'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}
    return imported('openvino').compile_model(model, 'CPU', settings).create_infer_request()


def save_openvino(model: Any, path: Path) -> None:
    """Writes a model of OpenVINO over the ``.xml`` and the ``.bin`` that it was read from."""
    temporary = path.with_name(f'new_{path.name}')  # the weights are read while they are written
    imported('openvino').save_model(model, str(temporary), compress_to_fp16=False)
    for suffix in ('.xml', '.bin'):
        temporary.with_suffix(suffix).replace(path.with_suffix(suffix))


def reason(error: Exception) -> str:
    """What an exporter or a runtime raised, in one line.

    Example:
        >>> reason(ValueError('no  such node'))
        'ValueError: no such node'
    """
    return f'{type(error).__name__}: {" ".join(str(error).split())[:400]}'


def imported(name: str) -> ModuleType:
    """A package of the extra ``export``; an ``SeMmError`` if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise SeMmError(f"{name} is missing ({error}); in the clone of se_mm: pip install '.[export]'") from error
