"""Bytes that a training step reads and writes, counted from the operators and the kernels that it launches.

``python -m support.map_traffic`` prints the table of docs/performance.md. The networks run on the meta device, as
they would on a GPU: nothing is computed. Each operator reads an operand once and writes its result once; some do more:

- BatchNorm with the statistics of the batch reads its map twice, and in its backward both maps twice;
- the backward of a convolution, or product of matrices, is two kernels, which both read the gradient;
- a bias of a convolution is added by a pass of its own, as in cuDNN's convolutions.

What a cache holds between two passes is not known here, so this predicts ratios on a GPU that memory limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from se_mm import SEResNet  # before mmdet: it prepares the operators of mmcv
from se_mm.models.fused import passes, triton_kernels
from se_mm.swap.building import shapes_only

from mmdet.models import ResNet  # isort: skip
from mmpretrain.models import SEResNet as TheirSEResNet  # isort: skip

GIB = 2**30
ALLOCATE = ('empty', 'new_empty', 'empty_like', 'empty_strided', 'new_empty_strided', 'detach', 'alias')
WRITE_ONLY = ('copy_', 'zero_', 'fill_')


class Traffic(TorchDispatchMode):
    """Counts bytes by operator; tensors below ``smallest`` bytes and the parameters of a network are left out."""

    def __init__(self, model: nn.Module, smallest: int = 2**20) -> None:
        super().__init__()
        self.smallest = smallest
        self.parameters = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        results = op(*args, **kwargs or {})
        name = op.name().partition('.')[0].split('::')[1]
        if not op.is_view and name not in ALLOCATE:
            self.bytes[name] += sum(map(self.size, moved(op, name, args, kwargs or {}, results)))
        return results

    def size(self, tensor: Any) -> int:
        if not isinstance(tensor, Tensor) or tensor.untyped_storage()._cdata in self.parameters:
            return 0
        size = min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())
        return size if size >= self.smallest else 0


def moved(op: Any, name: str, args: tuple, kwargs: dict, results: Any) -> Iterator[Any]:
    """The tensors that an operator reads and writes, each as often as it does."""
    if name in ('convolution_backward', 'cudnn_convolution_backward'):
        grad, x, weight, *rest = args
        for wanted, other in zip(rest[-1][:2], (weight, x), strict=True):
            yield from (grad, other) if wanted else ()
        yield from (grad,) if rest[-1][2] else ()
        yield from results
        return
    mutated = {i for i, argument in enumerate(op._schema.arguments) if argument.alias_info is not None}
    by_position = [*args, *(kwargs.get(a.name) for a in op._schema.arguments[len(args) :])]
    for i, operand in enumerate(by_position):
        written = i in mutated
        only = written and (op.namespace == 'se_mm' or op._schema.arguments[i].kwarg_only or name in WRITE_ONLY)
        yield from tree_leaves(operand) if not only else ()
        yield from tree_leaves(operand) if written else ()
    if not mutated:
        yield from tree_leaves(results)
    if name == 'convolution' and args[2] is not None:
        yield from (results, results)
    training = name in ('native_batch_norm', '_native_batch_norm_legit') and args[5]
    if training:
        yield args[0]
    if name == 'native_batch_norm_backward' and args[7]:
        yield from args[:2]


def of_step(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[Counter[str], Counter[str]]:
    """Bytes by operator of the forward and of the backward of a training step."""
    with shapes_only():
        network = build()
    network.train()
    image = torch.empty(shape, device='meta')
    with mock.patch.object(passes, 'kernels_for', return_value=triton_kernels):
        with Traffic(network) as forward:
            features = [feature for feature in network(image) if feature.requires_grad]
        with Traffic(network) as backward:
            torch.autograd.backward(features, [torch.empty_like(f) for f in features])
    return forward.bytes, backward.bytes


FROZEN = dict(depth=50, frozen_stages=1, norm_eval=True)
TRAINED = dict(depth=50, frozen_stages=-1, norm_eval=False)
ROWS = {
    'frozen norms': {
        'mmdet.ResNet-50, plain': lambda: ResNet(**FROZEN),
        'mmpretrain.SEResNet-50': lambda: TheirSEResNet(**FROZEN, out_indices=(0, 1, 2, 3)),
        'SEResNet-50: weight space, folded convolutions': lambda: SEResNet(**FROZEN),
        'SEResNet-50, `fold_norms=False`: fused tail': lambda: SEResNet(**FROZEN, fold_norms=False),
    },
    'norms in training mode': {
        'mmdet.ResNet-50, plain': lambda: ResNet(**TRAINED),
        'mmpretrain.SEResNet-50': lambda: TheirSEResNet(**TRAINED, out_indices=(0, 1, 2, 3)),
        'SEResNet-50: BatchNorm tail': lambda: SEResNet(**TRAINED),
    },
}


def table(shape: tuple[int, ...] = (2, 3, 800, 1344)) -> Iterator[tuple[str, str, float, float, float]]:
    """Norms, network, GiB of the forward and of the backward, ratio of the step to plain; then the least possible."""
    for norms, networks in ROWS.items():
        plain = None
        for name, build in networks.items():
            forward, backward = of_step(build, shape)
            total = forward.total() + backward.total()
            plain = plain or (total, forward['convolution'], backward['convolution_backward'])
            yield norms, name, forward.total() / GIB, backward.total() / GIB, total / plain[0]
        _, forward, backward = plain
        yield (
            norms,
            'convolutions of the plain network alone',
            forward / GIB,
            backward / GIB,
            (forward + backward) / plain[0],
        )


if __name__ == '__main__':
    print('| norms | network | forward, GiB | backward, GiB | step, ratio |\n| --- | --- | --- | --- | --- |')
    for norms, name, forward, backward, ratio in table():
        print(f'| {norms} | {name} | {forward:.2f} | {backward:.2f} | {ratio:.2f} |', flush=True)
