"""Composed classes: found under their names, and pickled by their parts."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib import import_module

import torch
from torch import nn

from se_mm import SETwin
from se_mm.models.composed import plain_class, put_before
from se_mm.models.hosts.behind_modules import ThenAttention


def test_a_composed_class_stands_in_its_module():
    for module in SETwin('mmpretrain.ResNet', depth=18).modules():
        cls = type(module)
        if cls is not plain_class(module):
            assert getattr(import_module(cls.__module__), cls.__qualname__) is cls


def test_another_process_composes_it_from_its_parts(tmp_path):
    conv = nn.Conv2d(2, 3, 1)
    put_before(conv, ThenAttention)
    conv.se = nn.Sigmoid()
    x = torch.ones(1, 2, 1, 1)
    (tmp_path / 'x').write_bytes(pickle.dumps((conv, x, conv(x))))
    code = f'import pickle; conv, x, y = pickle.load(open({str(tmp_path / "x")!r}, "rb")); assert (conv(x) == y).all()'
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
