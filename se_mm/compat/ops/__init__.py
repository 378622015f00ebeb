"""mmcv's compiled operators, by the names and call conventions of ``mmcv._ext``, over torchvision and torch.

They fill the tensors that ``mmcv.ops`` hands them; the autograd functions around them are mmcv's own. Each is tested
against the compiled mmcv, values and gradients (``make test-ops``).
"""

from __future__ import annotations

import inspect

from . import attention, boxes, deform_conv, focal_loss, masked_conv, roi


def get_compiler_version() -> str:
    """What ``mmcv.utils.collect_env`` prints for mmcv's compiler."""
    return 'none: torchvision stands in (se_mm.compat)'


#: The public functions of the modules, by name.
OPERATORS = {
    name: function
    for module in (attention, boxes, deform_conv, focal_loss, masked_conv, roi)
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith('_')
} | {'get_compiler_version': get_compiler_version, 'get_compiling_cuda_version': get_compiler_version}
