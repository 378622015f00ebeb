"""What one detection depends on: gradient-weighted maps on the inputs of a detector's neck."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from mmcv.transforms import Compose
from torch import Tensor, nn

from ..compat.compiled import eager, original
from ..errors import SeMmError
from ..utils.type_names import type_name


@dataclass(frozen=True)
class Explained:
    """A detection, and the part of its score that each place and channel of the features has.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the picture.
        label: its class.
        score: of the detection.
        maps: for each input of the neck (H, W), ``relu(sum_c dscore/df_c * f_c)``.
        channels: for each input of the neck (C,), ``sum over places of dscore/df_c * f_c``.
        sizes: height and width of the picture as the network saw it, with and without padding.
    """

    box: np.ndarray
    label: int
    score: float
    maps: list[np.ndarray]
    channels: list[np.ndarray]
    sizes: tuple[tuple[int, int], tuple[int, int]]


def explain_detection(model: nn.Module, batch: Any, box: int = 0) -> Explained:
    """Maps of where, and in which channels, the features speak for one box.

    The score of the box is differentiated with respect to the maps f that come into the neck, and multiplied
    with them place by place: Grad-CAM without the mean over the picture, so that it shows the one box (HiResCAM,
    arXiv 2011.08891; for detectors ODAM, arXiv 2304.06354).

    Args:
        model: a detector of mmdet.
        batch: of one picture, as the test pipeline gives it.
        box: the number of the detection, 0 for the best.

    Raises:
        SeMmError: if the model is no detector, there is no such detection, or its score has no gradient.
    """
    model = original(model)
    if not hasattr(model, 'bbox_head') and not hasattr(model, 'roi_head'):
        raise SeMmError(
            f'--cam explains boxes, and {type(model).__name__} finds none; for a classifier mmpretrain has vis_cam.py'
        )
    model.eval()
    leaves: list[Tensor] = []

    def cut(_: nn.Module, __: Any, output: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        maps = (output,) if isinstance(output, Tensor) else output
        leaves[:] = [features.detach().requires_grad_() for features in maps]
        return tuple(leaves)

    handle = model.backbone.register_forward_hook(cut)
    try:
        with torch.enable_grad(), eager(model), _with_gradients(getattr(model, 'bbox_head', None)):
            data = model.data_preprocessor(batch, False)
            sample = model.predict(data['inputs'], data['data_samples'], rescale=True)[0]
            found = sample.pred_instances
            if not 0 <= box < len(found):
                raise SeMmError(f'--box is {box}; the picture has {len(found)} detections, counted from 0')
            order = found.scores.argsort(descending=True)
            chosen = int(order[box])
            score = found.scores[chosen]
            if not score.requires_grad:
                raise SeMmError(f'the scores of {type(model).__name__} have no gradient; --cam cannot explain them')
            gradients = torch.autograd.grad(score, leaves, allow_unused=True)
    finally:
        handle.remove()
    products = [
        (features * (torch.zeros_like(features) if gradient is None else gradient)).detach()[0].cpu()
        for features, gradient in zip(leaves, gradients, strict=True)
    ]
    bboxes = getattr(found.bboxes, 'tensor', found.bboxes)
    return Explained(
        box=bboxes[chosen].detach().cpu().numpy(),
        label=int(found.labels[chosen]),
        score=float(score.detach()),
        maps=[product.sum(0).relu().numpy() for product in products],
        channels=[product.sum((1, 2)).numpy() for product in products],
        sizes=(tuple(data['inputs'].shape[2:]), tuple(sample.img_shape[:2])),
    )


@contextmanager
def _with_gradients(head: nn.Module | None) -> Iterator[None]:
    """While it lasts, the postprocessing of a dense head does not detach its maps, as mmdet's does."""
    name = 'select_single_mlvl'
    modules = {sys.modules[cls.__module__] for cls in type(head).__mro__}
    with ExitStack() as stack:
        for module in modules:
            if select := getattr(module, name, None):
                stack.enter_context(mock.patch.object(module, name, partial(_select_attached, select)))
        yield


def _select_attached(select: Callable[..., list[Tensor]], maps: Any, index: int, detach: bool = False) -> list[Tensor]:
    return select(maps, index, detach=False)


def batch_of_picture(path: str, pipeline: Sequence[Any]) -> dict[str, list[Any]]:
    """A batch of one picture file through a test pipeline, without annotations.

    Args:
        path: the file.
        pipeline: the config of the transforms.

    Raises:
        SeMmError: if the file cannot be read.
    """
    steps = [step for step in pipeline if not type_name(step).endswith('LoadAnnotations')]
    try:
        result = Compose(steps)(dict(img_path=path, img_id=0))
    except (OSError, ValueError, AssertionError) as error:  # what mmcv raises for a file that is no picture
        raise SeMmError(f'--cam {path} cannot be read as a picture: {error}') from error
    return {name: [value] for name, value in result.items()}
