"""Networks in ONNX Runtime and OpenVINO, on the CPU: pip install '.[export]'."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..export.runtimes import imported, onnx_session, openvino_request

RUNTIMES = ('onnxruntime', 'openvino')


def session_of(runtime: str, network: nn.Module, image: Tensor) -> Callable[[], Any]:
    """One inference of a network by another runtime, in float32, on as many threads as torch has.

    Args:
        runtime: one of ``RUNTIMES``.
        network: in evaluation; it is exported for the size of the image.
        image: (N, C, H, W), float32.

    Returns:
        A function that returns the list of outputs.

    Raises:
        SeMmError: if the runtime or ``onnx`` is not installed.
    """
    imported(runtime)
    imported('onnx')
    threads, inputs = torch.get_num_threads(), image.numpy()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # torch prefers its other exporter
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        path = str(Path(folder) / 'network.onnx')
        torch.onnx.export(network, (image,), path, opset_version=17, input_names=['image'], dynamo=False)
        if runtime == 'onnxruntime':
            session = onnx_session(path, threads)
            return lambda: session.run(None, {'image': inputs})
        request = openvino_request(path, threads)
        return lambda: list(request.infer([inputs]).values())
