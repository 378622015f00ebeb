"""mmcv's compiled operators, by the names and call conventions of ``mmcv._ext``, over torchvision and torch.

The operators fill the tensors that ``mmcv.ops`` hands them, as the compiled ones do; the
autograd functions around them are mmcv's own. Each is tested against the compiled mmcv,
values and gradients (``make test-ops``).
"""

from __future__ import annotations

from .attention import ms_deform_attn_backward, ms_deform_attn_forward
from .boxes import bbox_overlaps, nms, nms_match, softnms
from .deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from .focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from .masked_conv import masked_col2im_forward, masked_im2col_forward
from .roi import roi_align_backward, roi_align_forward, roi_pool_backward, roi_pool_forward


def get_compiler_version() -> str:
    """What ``mmcv.utils.collect_env`` prints for mmcv's compiler."""
    return 'none: torchvision stands in (se_mm.compat)'


get_compiling_cuda_version = get_compiler_version

OPERATORS = {
    function.__name__: function
    for function in (
        bbox_overlaps,
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        masked_col2im_forward,
        masked_im2col_forward,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        nms_match,
        roi_align_backward,
        roi_align_forward,
        roi_pool_backward,
        roi_pool_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softnms,
    )
} | {'get_compiler_version': get_compiler_version, 'get_compiling_cuda_version': get_compiling_cuda_version}
