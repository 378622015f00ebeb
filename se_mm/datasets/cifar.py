"""CIFAR-10 and CIFAR-100 from their archives, as pictures that were read from files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.error import URLError

import numpy as np
from mmpretrain.datasets import CIFAR10 as _CIFAR10
from mmpretrain.datasets import CIFAR100 as _CIFAR100

from ..errors import SeMmError
from ..registry import DATASETS
from ..utils.type_names import type_name


class _FromArchive:
    """Takes the pipeline of a set of files: pictures are BGR, and what would read them is passed over."""

    def __init__(self, *args: Any, pipeline: Sequence[dict[str, Any]] = (), **kwargs: Any) -> None:
        kept = [step for step in pipeline if type_name(step) != 'LoadImageFromFile']
        super().__init__(*args, pipeline=kept, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        try:
            samples = super().load_data_list()
        except URLError as error:
            root = self.data_prefix['root']
            raise SeMmError(
                f'{root} has no {self.base_folder}/, and {self.url} cannot be downloaded ({error.reason}); unpack '
                f'{self.filename} there, or give --data-root a folder with train/<class>/ and val/<class>/'
            ) from error
        for sample in samples:
            sample['img'] = np.ascontiguousarray(sample['img'][..., ::-1])
        return samples


@DATASETS.register_module()
class CIFAR10(_FromArchive, _CIFAR10):
    """mmpretrain's ``CIFAR10``, whose config also fits folders of pictures and inference.

    mmpretrain's gives RGB arrays to a pipeline that reads no file. This one has BGR, as what
    mmcv reads, and leaves ``LoadImageFromFile`` out of its pipeline: the same pipeline and the
    same preprocessor (``to_rgb=True``) then serve the archive, folders of classes
    (``--data-root``) and single pictures.

    Args:
        *args: as mmpretrain's (``data_root``, ``split='train'`` or ``'test'``, ...).
        pipeline: see above.
        **kwargs: as mmpretrain's.

    Raises:
        SeMmError: if the archive is not there and cannot be downloaded.
    """


@DATASETS.register_module()
class CIFAR100(_FromArchive, _CIFAR100):
    """mmpretrain's ``CIFAR100``; see :class:`CIFAR10`."""
