"""se_mm comes first: it prepares the stack before anything imports mmcv.ops."""

import os

import torch
from hypothesis import settings

import se_mm  # noqa: F401

if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'  # read when the kernels are defined

# The same examples in every run; `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')
