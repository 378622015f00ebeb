"""Networks in ONNX Runtime and OpenVINO, for comparison: pip install '.[export]'."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..export.runtimes import imported, onnx_session, openvino_request


def onnxruntime_session(network: nn.Module, image: Tensor) -> Callable[[], Any]:
    """One inference of a network by ONNX Runtime on the CPU, on as many threads as torch has.

    Args:
        network: in evaluation; it is exported for the size of the image.
        image: (N, C, H, W), float32.

    Raises:
        SeMmError: if ``onnxruntime`` or ``onnx`` is not installed.
    """
    imported('onnxruntime')
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(_exported(network, image, folder), torch.get_num_threads())
    inputs = {session.get_inputs()[0].name: image.numpy()}
    return lambda: session.run(None, inputs)


def openvino_session(network: nn.Module, image: Tensor) -> Callable[[], Any]:
    """The same by OpenVINO, in float32.

    Raises:
        SeMmError: if ``openvino`` or ``onnx`` is not installed.
    """
    imported('openvino')
    with tempfile.TemporaryDirectory() as folder:
        request = openvino_request(_exported(network, image, folder), torch.get_num_threads())
    inputs = image.numpy()
    return lambda: list(request.infer([inputs]).values())


#: What makes a call of a network and an image, by the name of the runtime.
RUNTIMES: dict[str, Callable[[nn.Module, Tensor], Callable[[], Any]]] = {
    'onnxruntime': onnxruntime_session,
    'openvino': openvino_session,
}


def _exported(network: nn.Module, image: Tensor, folder: str) -> str:
    imported('onnx')
    path = str(Path(folder) / 'network.onnx')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # torch prefers its other exporter
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        torch.onnx.export(network, (image,), path, opset_version=17, input_names=['image'], dynamo=False)
    return path
