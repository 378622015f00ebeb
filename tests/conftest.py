"""se_mm comes first: it prepares the stack before anything imports mmcv.ops."""

import os
from pathlib import Path

import torch
from hypothesis import settings

import se_mm  # noqa: F401

if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'  # read when the kernels are defined

# The same examples in every run; `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')


def pytest_addoption(parser):
    parser.addoption('--reliability', metavar='FILE', help='write the table of the faults that were injected')


def pytest_configure(config):
    if config.getoption('--reliability'):
        from support.reliability import Table

        config.pluginmanager.register(Table(Path(config.getoption('--reliability'))))
