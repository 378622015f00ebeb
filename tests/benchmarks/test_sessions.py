"""Other runtimes as candidates: the same outputs, and a message where they are not installed."""

from __future__ import annotations

import sys

import pytest
import torch

from se_mm import SeMmError, SEResNet
from se_mm.benchmarks import networks
from se_mm.benchmarks.sessions import RUNTIMES, session_of


@torch.no_grad()
@pytest.mark.parametrize('name', RUNTIMES)
def test_a_runtime_gives_the_networks_outputs(name):
    pytest.importorskip(name)
    torch.manual_seed(0)
    network, image = SEResNet(18).eval(), torch.randn(1, 3, 64, 96)
    outputs = session_of(name, network, image)()
    assert len(outputs) == 4
    for ours, theirs in zip(outputs, network(image), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=1e-4, atol=1e-4)


def test_it_is_a_form_of_each_network_in_the_table():
    pytest.importorskip('onnxruntime')
    setting = networks.Setting('inference', 18, (1, 64, 96), runtimes=('onnxruntime',))
    measured = networks.measure(setting, rounds=1, only='se_mm')
    assert [entry.form for entry in measured] == ['default', 'deployed', 'onnxruntime'] * 2
    assert len(networks.table(measured)) == 2 + len(measured)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(SeMmError, match=r"pip install '\.\[export\]'"):
        session_of('onnxruntime', SEResNet(18).eval(), torch.randn(1, 3, 64, 64))
    with pytest.raises(SeMmError, match='--mode inference on the CPU'):
        networks.measure(networks.Setting('training', 18, (1, 64, 64), runtimes=('onnxruntime',)), 1)
