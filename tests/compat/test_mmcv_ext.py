"""When the stand-ins step in, what they say, and that compiled operators are left alone."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmcv.ops import batched_nms, soft_nms

import se_mm
from se_mm import SeMmError
from se_mm.compat import mmcv_ext
from se_mm.compat.import_hooks import HookFinder


def python(code: str, *path: Path) -> subprocess.CompletedProcess:
    """Runs code in a process of its own, with folders in front of the module path."""
    prelude = f'import sys; sys.path[:0] = {[str(p) for p in path]!r}\n'
    return subprocess.run([sys.executable, '-c', prelude + code], capture_output=True, text=True, timeout=300)


def fake_mmcv(folder: Path, extension: str) -> Path:
    """A package mmcv with a file ``_ext.py``, which stands for a compiled module: it too is found on the path."""
    package = folder / 'mmcv'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_ext.py').write_text(extension)
    return folder


def test_the_stand_in_is_announced_once_and_detectors_import():
    done = python('import se_mm, mmcv.ops, mmcv.ops.nms; import importlib.util, mmdet.models; '
                  'from se_mm.compat import mmcv_ext; '
                  'print(importlib.util.find_spec("mmcv._ext").name, mmcv_ext.is_stand_in())')  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, is_stand_in = done.stdout.splitlines()[-1].split()
    assert name == 'mmcv._ext'
    if is_stand_in == 'False':
        pytest.skip('a compiled mmcv is installed')
    assert (done.stdout + done.stderr).count('stand in for them') == 1


def test_compiled_operators_are_used_untouched(tmp_path):
    folder = fake_mmcv(tmp_path, 'def nms(): return "compiled"\n')
    done = python('import se_mm; from mmcv import _ext; print(_ext.nms(), hasattr(_ext, "roi_align_forward"))', folder)
    assert done.stdout.split() == ['compiled', 'False'], done.stderr
    assert 'stand in' not in done.stdout + done.stderr


def test_an_extension_that_does_not_load_is_replaced_and_its_error_said(tmp_path):
    package = fake_mmcv(tmp_path, '') / 'mmcv'
    (package / '_ext.py').unlink()
    suffix = __import__('importlib.machinery').machinery.EXTENSION_SUFFIXES[0]
    (package / f'_ext{suffix}').write_bytes(b'\x7fELF built against another torch')
    done = python('import se_mm; from mmcv import _ext; print(_ext.nms.__module__)', tmp_path)
    assert 'se_mm.compat.ops.boxes' in done.stdout, done.stderr
    assert 'do not load' in done.stdout + done.stderr


def test_an_operator_without_stand_in_names_itself_and_the_way_out():
    module = mmcv_ext.StandIn('mmcv._ext')
    with pytest.raises(SeMmError, match='border_align_forward.*--no-build-isolation.*onedl-mmcv'):
        module.border_align_forward(1, 2, x=3)


def test_install_is_idempotent():
    finders = list(sys.meta_path)
    importlib.reload(se_mm)
    assert sys.meta_path == finders
    assert sum(isinstance(finder, HookFinder) for finder in finders) == 1


def test_suppression_as_mmcv_calls_it():
    boxes = torch.tensor([[0.0, 0, 9, 9], [1, 1, 9, 9], [20, 20, 30, 30]])
    scores, nms = torch.tensor([0.9, 0.8, 0.7]), dict(type='nms', iou_threshold=0.5)
    assert batched_nms(boxes, scores, torch.tensor([0, 0, 0]), nms)[1].tolist() == [0, 2]
    assert batched_nms(boxes, scores, torch.tensor([0, 1, 0]), nms)[1].tolist() == [0, 1, 2]
    dets, keep = soft_nms(boxes, scores, 0.3, method='linear')
    assert keep.tolist() == [0, 2, 1]
    assert dets[2, 4] < 0.3
