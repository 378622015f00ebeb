"""From a model to a file: torch.export first, then ONNX, then OpenVINO."""

from __future__ import annotations

import ast
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from ..compat.recording import check_torch, recording_options
from ..errors import TRACEBACK_VARIABLE, SeMmError
from .description import Description
from .forms import Form
from .runtimes import SECTION, imported, reason, save_openvino

#: The operator and the modules of each node of a graph.
Scopes = dict[str, tuple[str, list[str]]]
#: The ending of each target's file.
TARGETS = {'onnx': '.onnx', 'openvino': '.xml', 'torch': '.pt2'}


def recorded(form: Form, size: tuple[int, int], dynamic: tuple[str, ...]) -> ExportedProgram:
    """The graph of a model by ``torch.export``.

    Args:
        form: the model.
        size: height and width of the input, where they are not dynamic.
        dynamic: ``'batch'``, ``'size'``, both or none.

    Raises:
        SeMmError: if torch is older than 2.6, the size is too small to be free, or the model cannot be recorded.
    """
    check_torch()
    if 'size' in dynamic and min(size) < form.least_side:
        raise SeMmError(
            f"the config's test size {size[0]}x{size[1]} is below {form.least_side}, which a free size needs; "
            'use --dynamic batch'
        )
    image = torch.zeros(2 if 'batch' in dynamic else 1, *size, 3, dtype=torch.uint8)
    axes = {}
    if 'batch' in dynamic:
        axes[0] = Dim('batch', min=1, max=1024)
    if 'size' in dynamic:
        axes |= {i: Dim(name, min=form.least_side, max=16384) for i, name in ((1, 'height'), (2, 'width'))}
    with _quiet(), _explained('torch.export'), torch.no_grad():
        return torch.export.export(form, (image,), dynamic_shapes=(axes,), **recording_options())


def write_onnx(program: ExportedProgram, form: Form, path: Path) -> Scopes:
    """Writes a program as ONNX, with standard operators alone; returns the operator and modules of each node."""
    imported('onnxscript')
    onnx = imported('onnx')
    from .onnx_operators import TRANSLATIONS

    with _quiet(), _explained('the ONNX exporter of torch'):
        onnx_program = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=18,
            input_names=['image'],
            output_names=list(form.names),
            custom_translation_table=TRANSLATIONS,
            optimize=True,
            verbose=False,
        )
    model = onnx_program.model_proto
    scopes = {}
    for node in model.graph.node:
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes[node.name] = (node.op_type, ast.literal_eval(notes.get('pkg.torch.onnx.name_scopes', '[]')))
        del node.metadata_props[:]  # paths on this machine among them
    onnx.save(model, str(path))
    return scopes


def write_openvino(onnx_path: Path, path: Path, half: bool) -> None:
    """Converts an ONNX file; ``half``: its weights are stored in float16."""
    openvino = imported('openvino')
    openvino.save_model(openvino.convert_model(str(onnx_path)), str(path), compress_to_fp16=half)


def describe(path: Path, description: Description, program: ExportedProgram | None = None) -> None:
    """Writes the metadata into a file, in its own format."""
    entries = description.entries()
    if path.suffix == '.onnx':
        onnx = imported('onnx')
        model = onnx.load(str(path))
        onnx.helper.set_model_props(model, entries)
        onnx.save(model, str(path))
    elif path.suffix == '.xml':
        model = imported('openvino').Core().read_model(str(path))
        for name, value in entries.items():
            model.set_rt_info(value, [SECTION, name])
        save_openvino(model, path)
    else:
        program = program or torch.export.load(str(path))
        torch.export.save(program, str(path), extra_files={SECTION: json.dumps(entries)})


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """An exporter's refusal of an operator or a condition in a model as one message."""
    try:
        yield
    except Exception as error:
        raise SeMmError(
            f'{what} cannot record this model: {reason(error)} '
            f'(--dynamic batch asks for less; {TRACEBACK_VARIABLE}=1 shows where)'
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice of the exporters to their own developers."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
