"""Reading a checkpoint file: tensors and plain data, never code."""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..compat.checkpoints import log_classes_allowed
from ..compat.metadata import set_metadata
from ..errors import SeMmError

#: Beginnings of what is saved under a checkpoint's name by mistake.
_IMPOSTORS = (
    (rb'\s*<', 'it is a web page, perhaps the error page of a download'),
    (rb'version https://git-lfs', 'it is a pointer of Git LFS; run `git lfs pull`'),
    (rb'\x1f\x8b', 'it is a gzip archive; unpack it first'),
)


def read_checkpoint(path: str | Path, map_location: Any = 'cpu', name: str | None = None) -> dict[str, Any]:
    """The dictionary in a .pth, .pth.tar or .safetensors file.

    Args:
        path: the file; its content decides how it is read, not its name.
        map_location: of ``torch.load``.
        name: what messages call it; ``None``: the path.

    Raises:
        SeMmError: if the file is missing, damaged, holds no tensors, or needs more than tensors and plain data.
    """
    path = Path(path).expanduser()
    name = name or str(path)
    if path.is_dir():
        raise SeMmError(f'checkpoint {name} is a directory; give a file in it')
    try:
        with path.open('rb') as file:
            beginning = file.read(64)
    except FileNotFoundError as error:
        raise SeMmError(f'checkpoint {name} does not exist (looked in {path.absolute()})') from error
    except OSError as error:
        raise SeMmError(f'checkpoint {name} cannot be read: {error}') from error
    # The length of its header in eight bytes, which may look like text, and the header.
    is_safetensors = beginning[6:9] == b'\0\0{'
    read = _read_safetensors if is_safetensors else _read_torch
    if not beginning:
        raise SeMmError(f'checkpoint {name} is empty (0 bytes); fetch it again')
    for pattern, what in () if is_safetensors else _IMPOSTORS:
        if re.match(pattern, beginning):
            raise SeMmError(f'checkpoint {name} is not a checkpoint: {what}')
    try:
        checkpoint = read(path, map_location)
    except Exception as error:  # the readers raise whatever the damaged bytes lead them to
        raise SeMmError(f'checkpoint {name} cannot be read: {_reason(error)}') from error
    _check_content(checkpoint, name)
    return checkpoint


def tensors_in(checkpoint: Any) -> Iterator[Tensor]:
    """Every tensor in nested dictionaries."""
    if isinstance(checkpoint, Tensor):
        yield checkpoint
    elif isinstance(checkpoint, Mapping):
        for value in checkpoint.values():
            yield from tensors_in(value)


def _read_torch(path: Path, map_location: Any) -> Any:
    with log_classes_allowed():
        return torch.load(path, map_location=map_location or 'cpu', weights_only=True)


def _read_safetensors(path: Path, map_location: Any) -> OrderedDict[str, Tensor]:
    device = str(map_location) if isinstance(map_location, (str, torch.device)) else 'cpu'
    is_meta = device == 'meta'  # which the library does not know
    with safe_open(path, framework='pt', device='cpu' if is_meta else device) as file:
        tensors = ((key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118
        state_dict = OrderedDict((key, tensor.to(device) if is_meta else tensor) for key, tensor in tensors)
        facts = file.metadata() or {}
    if 'style' in facts or 'stem_pool' in facts:
        set_metadata(state_dict, {'': {'se_mm': facts}})
    return state_dict


def _check_content(checkpoint: Any, name: str) -> None:
    if not isinstance(checkpoint, dict):
        raise SeMmError(f'checkpoint {name} holds a {type(checkpoint).__name__}; expected a dictionary of tensors')
    odd = next((key for key in checkpoint if not isinstance(key, str)), None)
    if odd is not None:
        raise SeMmError(f'checkpoint {name} is no state dict: it has the key {odd!r}, expected names of tensors')
    if next(tensors_in(checkpoint), None) is None:
        raise SeMmError(f'checkpoint {name} holds no tensors (its keys: {", ".join(list(checkpoint)[:10]) or "none"})')


def _reason(error: Exception) -> str:
    text = ' '.join(str(error).split())
    if isinstance(error, pickle.UnpicklingError):  # torch wraps its reason in advice to run the file's code
        asked_for = re.search(r'(?:GLOBAL|global) ([\w.]+)', text)
        what = asked_for[1] if asked_for else text.rpartition('WeightsUnpickler error: ')[2].split('. ')[0][:160]
        return (
            f'it needs more than tensors and plain data ({what.strip()}), and could run code; refused. If you '
            'trust it, save its weights alone: torch.save(torch.load(FILE, weights_only=False)["state_dict"], NEW)'
        )
    if isinstance(error, (SafetensorError, EOFError)) or re.search('PytorchStreamReader|inline_container|zip', text):
        return f'damaged or cut off ({text.split(". ")[0][:160] or "unexpected end of file"})'
    return f'{type(error).__name__}: {text[:200]}'
