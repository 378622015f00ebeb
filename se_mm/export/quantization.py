"""int8 after training, by NNCF, with the attention layers and the arithmetic of boxes left in float.

A gate multiplies a whole channel: what rounding does to it, it does to every pixel, and the output of a sigmoid
has few steps in int8. The layers are a small part of the arithmetic.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..models.attention.base import Attention
from .runtimes import imported, save_openvino

#: Maximum number of calibration images.
MOST_PICTURES = 128
#: Operators in int8; what stands in the networks beside them (sigmoid, exponential, softmax) stays in float.
_OPERATORS = {'Conv', 'Gemm', 'MatMul', 'Add', 'Relu', 'MaxPool', 'Mul', 'ReduceMean', 'GlobalAveragePool', 'Resize'}
#: The networks in a form; around them is the arithmetic of boxes.
_NETWORKS = {'backbone', 'neck', 'head', 'bbox_head.head', 'rpn_head.head'}
_NETWORKS |= {'roi_head.bbox_heads', 'roi_head.mask_heads'}


def quantizable(scopes: Mapping[str, tuple[str, Sequence[str]]], form: nn.Module, keep_gates: bool) -> set[str]:
    """The nodes of a graph that int8 may take.

    Args:
        scopes: operator and modules of each node.
        form: whose graph it is.
        keep_gates: whether the attention layers and the product with their gates stay in float.
    """
    gates = {name for name, module in form.named_modules() if isinstance(module, Attention)}
    return {
        node
        for node, (operator, modules) in scopes.items()
        if operator in _OPERATORS and _NETWORKS & set(modules) and not (keep_gates and gates & set(modules))
    }


def quantize_onnx(path: Path, images: Sequence[np.ndarray], nodes: set[str]) -> None:
    """Quantises some nodes of an ONNX file in place, with the ranges that inputs, (N, H, W, 3), have there."""
    onnx = imported('onnx')
    model = onnx.load(str(path))
    ignored = [node.name for node in model.graph.node if node.name not in nodes]
    onnx.save(_quantized(model, [{'image': image} for image in images], ignored), str(path))


def quantize_openvino(path: Path, images: Sequence[np.ndarray], nodes: set[str]) -> None:
    """The same for OpenVINO's file, whose operators are called as the nodes of the ONNX file that it comes from."""
    model = imported('openvino').Core().read_model(str(path))
    operators = [op for op in model.get_ordered_ops() if op.get_type_name() not in ('Constant', 'Parameter', 'Result')]
    names = [op.get_friendly_name() for op in operators]
    ignored = [name for name in names if name.partition('/')[0] not in nodes]
    save_openvino(_quantized(model, list(images), ignored), path)


def _quantized(model: Any, inputs: Sequence[Any], ignored: list[str]) -> Any:
    nncf = imported('nncf')
    nncf.set_log_level(logging.ERROR)  # else a line for each operator that stays in float
    return nncf.quantize(
        model,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        # Without VNNI products of 8 bits overflow the 16 bits in which they are summed.
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
        ignored_scope=nncf.IgnoredScope(names=ignored, validate=False),
    )
