"""What the backbones do on a GPU, on fake tensors: shapes, dtypes and the kernels that are launched."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import se_mm

pytest.importorskip('se_mm.models.fused.triton_kernels')

NETWORKS = {
    'SEResNet': lambda **kwargs: se_mm.SEResNet(depth=50, **kwargs),
    'basic blocks': lambda **kwargs: se_mm.SEResNet(depth=18, **kwargs),
    'SEResNeXt': lambda **kwargs: se_mm.SEResNeXt(depth=50, groups=32, base_width=4, **kwargs),
    'SENet': lambda **kwargs: se_mm.SENet(depth=16, **kwargs),
    'Res2Net': lambda **kwargs: se_mm.SETwin('mmdet.Res2Net', depth=50, scales=4, base_width=26, **kwargs),
}


class Launched(TorchDispatchMode):
    """Counts the kernels."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        self.count += op.namespace == 'se_mm'
        return op(*args, **(kwargs or {}))


@contextmanager
def autocast(dtype):
    """``torch.autocast('cuda')``, which switches itself off where there is no GPU."""
    torch.set_autocast_dtype('cuda', torch.float16 if dtype is torch.float32 else dtype)
    torch.set_autocast_enabled('cuda', dtype is not torch.float32)
    yield
    torch.clear_autocast_cache()
    torch.set_autocast_enabled('cuda', False)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
@pytest.mark.parametrize('norms', ['training mode', 'frozen', 'evaluation'])
@pytest.mark.parametrize('name', NETWORKS)
def test_forward_on_a_gpu(name, norms, dtype):
    for fold_norms in (True, False) if norms == 'frozen' else (True,):
        with FakeTensorMode(), torch.device('cuda'):
            network = NETWORKS[name](norm_eval=norms == 'frozen', fold_norms=fold_norms)
            network.train(norms != 'evaluation')
            grad = torch.no_grad() if norms == 'evaluation' else nullcontext()
            with autocast(dtype), grad, Launched() as launched:
                features = network(torch.rand(2, 3, 64, 96))
        assert [f.shape[2:] for f in features] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]
        assert {f.device.type for f in features} == {'cuda'}
        assert {f.dtype for f in features} == {dtype}
        if name != 'Res2Net':  # its block has a forward of its own
            assert launched.count >= sum(len(getattr(network, stage)) for stage in network.res_layers)
