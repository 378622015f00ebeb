"""Metrics in the paper's terms."""

from __future__ import annotations

from typing import Any

from mmpretrain.evaluation import Accuracy

from ..registry import METRICS


@METRICS.register_module()
class TopKError(Accuracy):
    """Top-k error in per cent, as the paper's tables give it: 100 - accuracy.

    Takes the arguments of mmpretrain's ``Accuracy``.

    Example:
        >>> import torch
        >>> right, wrong = torch.tensor([0.9, 0.1]), torch.tensor([0.2, 0.8])
        >>> results = [dict(pred_score=score, gt_label=torch.tensor([0])) for score in (right, wrong)]
        >>> TopKError(topk=(1,)).compute_metrics(results)
        {'top1': 50.0}
    """

    default_prefix = 'error'

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {name: 100 - value for name, value in super().compute_metrics(results).items()}
