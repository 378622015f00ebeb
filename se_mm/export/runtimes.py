"""Running an exported file: ONNX Runtime, OpenVINO, or a program of torch.export."""

from __future__ import annotations

import json
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
    """A file that ``tools/export.py`` wrote, ready to run.

    Args:
        path: ``.onnx``, ``.xml`` (its ``.bin`` beside it) or ``.pt2``.
        threads: of the CPU; ``None``: as many as torch has.

    Raises:
        SeMmError: if the file or its runtime is missing, it cannot be read, or it describes nothing.
    """

    #: What the file says about itself.
    description: Description

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path = str(path)
        if not Path(path).is_file():
            raise SeMmError(f'exported model {path} does not exist (looked in {Path(path).absolute()})')
        try:
            entries = self._load(threads or torch.get_num_threads())
        except SeMmError:
            raise
        except Exception as error:  # whatever a runtime raises for a file that is not what it should be
            reason = ' '.join(str(error).split())[:300]
            raise SeMmError(f'exported model {path} cannot be read: {type(error).__name__}: {reason}') from error
        self.description = Description.of_entries(entries, self.path)

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for a batch.

        Args:
            images: (N, H, W, 3), uint8, BGR.

        Raises:
            SeMmError: if these are no such pictures, the file takes another size, or its runtime fails.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise SeMmError(
                f'{self.path} takes pictures (N, H, W, 3) of uint8, got {tuple(images.shape)} of {images.dtype}'
            )
        wanted = self.description.input_size
        given = images.shape[:3]
        if any(want not in (None, have) for want, have in zip(wanted, given, strict=True)):
            said = ' x '.join('any' if want is None else str(want) for want in wanted)
            raise SeMmError(
                f'{self.path} takes batches of {said} pixels, got {" x ".join(map(str, given))}; '
                'export it again with --dynamic batch,size'
            )
        if min(given[1:]) < self.description.least_side:
            raise SeMmError(
                f'{self.path} takes pictures of {self.description.least_side} pixels and more a side, got '
                f'{given[1]} x {given[2]}; resize them first'
            )
        try:
            outputs = self._run(np.ascontiguousarray(images))
        except Exception as error:  # as a runtime likes
            reason = ' '.join(str(error).split())[:300]
            hint = '' if wanted[1] else '; a network with layers of a fixed size, as FcaLayer, needs --dynamic batch'
            raise SeMmError(
                f'{self.path} cannot be run on {" x ".join(map(str, given))}: {type(error).__name__}: {reason}{hint}'
            ) from error
        return dict(zip(self.description.outputs, outputs, strict=True))

    def _load(self, threads: int) -> dict[str, str]:
        """Makes the file ready; its metadata."""
        raise NotImplementedError

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        raise NotImplementedError


class OnnxFile(ExportedFile):
    """By ONNX Runtime on the CPU."""

    def _load(self, threads: int) -> dict[str, str]:
        self.session = onnx_session(self.path, threads)
        return self.session.get_modelmeta().custom_metadata_map

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        return self.session.run(None, {self.session.get_inputs()[0].name: images})


class OpenVinoFile(ExportedFile):
    """By OpenVINO on the CPU, in float32 where the file is not quantised."""

    def _load(self, threads: int) -> dict[str, str]:
        openvino = imported('openvino')
        model = openvino.Core().read_model(self.path)
        self.request = openvino_request(model, threads)
        if not model.has_rt_info([SECTION]):
            return {}
        return {name: str(getattr(value, 'value', value)) for name, value in model.get_rt_info([SECTION]).value.items()}

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        return [np.array(output) for output in self.request.infer([images]).values()]


class TorchFile(ExportedFile):
    """A program of ``torch.export``, by torch."""

    def _load(self, threads: int) -> dict[str, str]:
        from . import operators  # noqa: F401 (registers what the program calls)

        self.threads = threads
        extra: dict[str, Any] = {SECTION: ''}
        self.module = torch.export.load(self.path, extra_files=extra).module()
        return json.loads(extra[SECTION] or '{}')

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.no_grad():
                return [output.numpy() for output in self.module(torch.from_numpy(images))]
        finally:
            torch.set_num_threads(before)


#: By the ending of the file.
RUNTIMES: dict[str, type[ExportedFile]] = {'.onnx': OnnxFile, '.xml': OpenVinoFile, '.pt2': TorchFile}


def is_exported(path: str) -> bool:
    """Whether a name is that of an exported file rather than of a config or checkpoint.

    Example:
        >>> is_exported('work_dirs/demo/model.onnx'), is_exported('epoch_12.pth')
        (True, False)
    """
    return Path(path).suffix in RUNTIMES


def open_exported(path: str | Path, threads: int | None = None) -> ExportedFile:
    """An exported file with the runtime of its ending; see :class:`ExportedFile`."""
    if Path(path).suffix not in RUNTIMES:
        raise SeMmError(f'{path} is no exported model; expected a name that ends with {", ".join(RUNTIMES)}')
    return RUNTIMES[Path(path).suffix](path, threads)


def onnx_session(path: str, threads: int) -> Any:
    """An ONNX file in ONNX Runtime, on a number of CPU threads and without its warnings."""
    runtime = imported('onnxruntime')
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return runtime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def openvino_request(model: Any, threads: int) -> Any:
    """A model of OpenVINO, or a file that it reads, ready for pictures one by one on the CPU, in float32."""
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    return imported('openvino').compile_model(model, 'CPU', settings).create_infer_request()


def save_openvino(model: Any, path: Path) -> None:
    """Writes a model over the file that it was read from.

    Args:
        model: of OpenVINO.
        path: ``.xml``; the weights go into the ``.bin`` beside it.
    """
    temporary = path.with_name(f'new_{path.name}')  # the weights are read while they are written
    imported('openvino').save_model(model, str(temporary), compress_to_fp16=False)
    for suffix in ('.xml', '.bin'):
        temporary.with_suffix(suffix).replace(path.with_suffix(suffix))


def imported(name: str) -> ModuleType:
    """A package of the extra ``export``.

    Raises:
        SeMmError: if it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise SeMmError(f"{name} is missing ({error}); in the clone of se_mm: pip install '.[export]'") from error
