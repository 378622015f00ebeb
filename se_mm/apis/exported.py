"""Exported files in the place of a model: for mmengine's test loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..engine.evaluation import without_averaging
from ..errors import SeMmError, listed
from ..export.parity import detections
from ..export.runtimes import ExportedFile


class ExportedModel(nn.Module):
    """An exported file with the ``test_step`` of a model of mmdet or mmpretrain.

    Args:
        file: of :func:`se_mm.export.runtimes.open_exported`.
    """

    def __init__(self, file: ExportedFile) -> None:
        super().__init__()
        self.file = file

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """The data samples of a batch with their predictions, in the pixels of the files.

        Args:
            data: ``inputs``, pictures (3, H, W) of the test pipeline, and their ``data_samples``.
        """
        images = [picture.permute(1, 2, 0).numpy() for picture in data['inputs']]
        alike = self.file.description.input_size[0] is None and len({image.shape for image in images}) == 1
        batches = [np.stack(images)] if alike else [image[None] for image in images]
        rows = [
            {name: output[i] for name, output in outputs.items()}
            for outputs in map(self.file, batches)
            for i in range(len(next(iter(outputs.values()))))
        ]
        return [self.filled(sample, row) for sample, row in zip(data['data_samples'], rows, strict=True)]

    val_step = test_step

    def forward(self, inputs: Tensor, data_samples: list[Any]) -> list[Any]:
        """As :meth:`test_step`."""
        return self.test_step({'inputs': inputs, 'data_samples': data_samples})

    def filled(self, sample: Any, outputs: dict[str, np.ndarray]) -> Any:
        """A data sample with the outputs for its picture."""
        description = self.file.description
        if description.task == 'classification':
            scores = torch.from_numpy(outputs['scores'])
            return sample.set_pred_score(scores).set_pred_label(scores.argmax(0, keepdim=True))
        scale = sample.get('scale_factor', (1.0, 1.0))
        found = detections(outputs, description.thresholds, sample.ori_shape[:2], scale)
        instances = InstanceData(
            bboxes=torch.from_numpy(found['boxes']),
            scores=torch.from_numpy(found['scores']),
            labels=torch.from_numpy(found['labels']),
        )
        if 'masks' in found:
            instances.masks = torch.from_numpy(found['masks'])
        sample.pred_instances = instances
        return sample


def use_exported(runner: Runner, file: ExportedFile) -> None:
    """Puts an exported file in the place of a runner's model.

    Raises:
        SeMmError: if it was trained on other classes than those of the test set.
    """
    without_averaging(runner)
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    classes = list(runner.test_loop.dataloader.dataset.metainfo.get('classes') or ())
    if classes != file.description.classes:
        raise SeMmError(
            f'{file.path} knows {len(file.description.classes)} classes ({listed(file.description.classes, 5)}) '
            f'and the test set has {len(classes)} ({listed(classes, 5)}); use the config that it was trained with'
        )
    runner.model = ExportedModel(file)
