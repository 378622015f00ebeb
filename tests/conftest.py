"""se_mm comes first: it prepares the stack before anything imports mmcv.ops."""

import os
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import settings
from mmengine.registry import DefaultScope
from yapf.yapflib import yapf_api

import se_mm  # noqa: F401

# Many tests read what goes to the log file only, unless a command is verbose.
os.environ.setdefault('SE_MM_VERBOSE', '1')

# Commands run in forks (support.commands), which inherit no threads.
torch.set_num_threads(1)
cv2.setNumThreads(0)

# torch counts the devices in a process's first backward and starts a thread for each, after which no fork can run a
# backward. torch.compile makes a process without a GPU count fake ones, so the first backward comes before it.
torch.ones(1, requires_grad=True).backward()

# mmengine formats the config with yapf for each log and checkpoint: half the time of a training of seconds.
yapf_api.FormatCode = lambda text, **_: (text, False)

if not torch.cuda.is_available():
    os.environ['TRITON_INTERPRET'] = '1'  # read when the kernels are defined

# The same examples in every run; `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile('repeatable', derandomize=True, deadline=None)
settings.load_profile('repeatable')


@pytest.fixture(autouse=True)
def no_default_scope(monkeypatch):
    """mmengine keeps the scope of the last runner: without this, a test builds in the scope of the one before it."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', type(DefaultScope._instance_dict)())


def pytest_addoption(parser):
    parser.addoption('--reliability', metavar='FILE', help='write the table of the faults that were injected')


def pytest_configure(config):
    if config.getoption('--reliability'):
        from support.reliability import Table

        config.pluginmanager.register(Table(Path(config.getoption('--reliability'))))
