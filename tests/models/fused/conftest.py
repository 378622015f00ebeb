"""The fused forms on a CPU by torch's operators, and as on a GPU."""

import pytest


@pytest.fixture
def through_kernels(monkeypatch):
    """The passes over maps are the GPU's kernels, in Triton's interpreter."""
    kernels = pytest.importorskip('se_mm.models.fused.triton_kernels')
    monkeypatch.setattr('se_mm.models.fused.passes.kernels_for', lambda v: kernels)


@pytest.fixture(params=['operators', 'kernels'])
def either(request):
    """The passes over maps by torch's operators, or by the kernels."""
    if request.param == 'kernels':
        request.getfixturevalue('through_kernels')
