"""Predictions on pictures, through mmdet's and mmpretrain's own inferencers."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from tqdm import tqdm

from ..config.classes import classes_of_model
from ..config.classifiers import read_trained
from ..config.loaders import datasets_of
from ..datasets.annotations.coco import PREDICTIONS
from ..datasets.annotations.pictures import IMAGE_SUFFIXES
from ..datasets.transforms.loading import LoadImageFromFile, UnreadableImageError
from ..errors import SeMmError, listed
from ..evaluation.predictions import best_classes, coco_results
from ..export.exported_model import ExportedModel
from ..export.pictures import prepare
from ..export.runtimes import ExportedFile
from ..utils.atomic import write_atomic
from ..utils.type_names import type_name
from .evaluation import deploy, load_whole

#: A file or a folder, or an array of pixels.
Picture = str | Path | np.ndarray
#: Smaller pictures are drawn so high, in pixels, so that a label can be read.
LEAST_HEIGHT = 400


class Predicted(NamedTuple):
    """The JSON of the predictions, the folder of the pictures if they were asked for, why images were left out."""

    file: Path
    pictures: Path | None
    skipped: list[str]


def find_images(paths: Sequence[str | Path]) -> list[str]:
    """The pictures among the paths; a folder stands for those in it.

    Raises:
        SeMmError: for a path that does not exist, or a folder without pictures.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                folders = sorted(str(p) for p in path.iterdir() if p.is_dir())
                hint = f'; name its folders instead: {listed(folders, 3)}' if folders else ''
                raise SeMmError(f'folder {path} holds no picture ({", ".join(IMAGE_SUFFIXES)}){hint}')
            found += inside
        elif path.is_file():
            found.append(str(path))
        else:
            raise SeMmError(f'image {path} does not exist (looked in {path.absolute()})')
    return list(dict.fromkeys(found))


def write_predictions(
    predictor: Predictor, images: Sequence[str | Path], file: Path, pictures: Path | None
) -> Predicted:
    """Predicts on pictures, and writes what :func:`se_mm.apis.infer.infer` says."""
    names, skipped, found = _picture_names(images), [], []
    for path in tqdm(images, unit='image', disable=None):
        try:
            image = predictor.loader({'img_path': path})['img']
            prepared = predictor.prepare(image)
        except UnreadableImageError as error:
            skipped.append(str(error))
        except (cv2.error, ValueError) as error:  # of OpenCV and Pillow, where a resizing leaves no pixel
            shape = f'{image.shape[0]}x{image.shape[1]}'
            skipped.append(f'image {path} of {shape} cannot be prepared: {" ".join(str(error).split())}')
        else:
            sample = predictor.forward(prepared)
            if pictures:
                channels = np.atleast_3d(image)
                shown = channels[..., :3] if channels.shape[2] > 2 else channels[..., :1].repeat(3, axis=2)
                mmcv.imwrite(predictor.draw(shown[..., ::-1], sample)[..., ::-1], str(pictures / names[path]))
            found.append(predictor.as_entry(str(path), sample))
            continue
        tqdm.write(f'skipped: {skipped[-1]}', file=sys.stderr)
    write_atomic(file, json.dumps(_coco(found, predictor.classes) if predictor.detects else found, indent=1))
    return Predicted(file, pictures, skipped)


class Predictor:
    """A detector or a classifier, and how its predictions are drawn and written."""

    #: Reads a picture.
    loader = LoadImageFromFile()

    def __init__(self, detects: bool, meta: Mapping[str, Any], score_threshold: float) -> None:
        self.detects = detects
        self.classes = tuple(meta['classes'])
        if detects:
            from ..visualization.detections import DetectionDrawer

            self.drawer = DetectionDrawer(meta, score_threshold)

    def predict(self, images: Picture | Sequence[Picture]) -> list[dict[str, Any]]:
        """Predicts on pictures.

        Args:
            images: one or several: a file, a folder, or an array, (H, W, 3), RGB, of 8 bits.

        Returns:
            A dictionary for each. Of a detector: ``boxes`` (N, 4), x1, y1, x2, y2 in pixels of the picture, ``scores``
            (N,) and ``labels``, N names, best first. Of a classifier: its ``label``, and ``scores``, a dictionary of
            the five best names.

        Raises:
            SeMmError: if a picture is missing or cannot be read.
        """
        found = []
        for given in [images] if isinstance(images, (str, Path, np.ndarray)) else images:
            files = [] if isinstance(given, np.ndarray) else find_images([given])
            for image in [self.loader({'img_path': file})['img'] for file in files] or [given[..., ::-1]]:
                sample = self.forward(self.prepare(image))
                if self.detects:
                    kept = {key: sample.pred_instances[key].cpu().numpy() for key in ('bboxes', 'scores', 'labels')}
                    names = [self.classes[label] for label in kept['labels']]
                    found.append({'boxes': kept['bboxes'], 'scores': kept['scores'], 'labels': names})
                else:
                    scores = best_classes(sample, self.classes)
                    found.append({'label': next(iter(scores)), 'scores': scores})
        return found

    def prepare(self, image: np.ndarray) -> Any:
        """What :meth:`forward` takes, of a picture, (H, W, 3), BGR."""
        raise NotImplementedError

    def forward(self, prepared: Any) -> Any:
        """The data sample of a picture."""
        raise NotImplementedError

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        height = max(image.shape[0], LEAST_HEIGHT)
        if self.detects:
            return self.drawer(image, sample, height=height)
        from ..visualization.classification import draw_classified

        return draw_classified(image, sample, self.classes, height)

    def as_entry(self, path: str, sample: Any) -> dict[str, Any]:
        if self.detects:
            height, width = sample.ori_shape
            found = coco_results(sample, range(1, 1 + len(self.classes)))
            return {'image': {'file_name': path, 'height': height, 'width': width}, 'found': found}
        scores = best_classes(sample, self.classes)
        tqdm.write(f'{path}: ' + ', '.join(f'{name} {score:.3f}' for name, score in scores.items()))
        return {'file': path, 'label': next(iter(scores)), 'scores': scores}


class TrainedModel(Predictor):
    """A model of PyTorch in mmdet's or mmpretrain's inferencer, with its weights: all of them, or none."""

    def __init__(
        self, cfg: Config, checkpoint: str, score_threshold: float, deployed: bool, device: str | None = None
    ) -> None:
        content = read_trained(checkpoint)
        classes = classes_of_model(cfg, content, checkpoint)
        loading = next(step for step in next(datasets_of(cfg.test_dataloader)).pipeline if 'Load' in type_name(step))
        reading = {key: loading[key] for key in ('color_type', 'imdecode_backend') if key in loading}
        self.loader = LoadImageFromFile(**reading)
        if loading.get('imdecode_backend') == 'timm':
            loading['type'] = 'LoadImageFromFile'  # which the inferencers leave out
        detects = cfg.get('default_scope') != 'mmpretrain'
        device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
        meta: dict[str, Any] = {'classes': classes}
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that there are no weights
            if detects:
                from mmdet.apis import DetInferencer

                self.inferencer = DetInferencer(cfg, device=device, show_progress=False)
                meta = self.inferencer.model.dataset_meta = {**self.inferencer.model.dataset_meta, **meta}
            else:
                from mmpretrain import ImageClassificationInferencer

                self.inferencer = ImageClassificationInferencer(cfg, False, device=device, classes=classes)
        super().__init__(detects, meta, score_threshold)
        model = self.inferencer.model
        load_whole(model, content.get('state_dict', content), checkpoint)
        if deployed:
            deploy(model)

    def prepare(self, image: np.ndarray) -> Any:
        batch = next(iter(self.inferencer.preprocess([image], batch_size=1)))
        return batch[1] if self.detects else batch

    def forward(self, prepared: Any) -> Any:
        return self.inferencer.forward(prepared)[0]


class ExportedPredictor(Predictor):
    """A file that ``tools/export.py`` wrote."""

    def __init__(self, path: str, score_threshold: float) -> None:
        self.model = ExportedModel(ExportedFile(path))
        self.description = self.model.file.description
        detects = self.description.task == 'detection'
        super().__init__(detects, {'classes': tuple(self.description.classes)}, score_threshold)

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        resized, least = prepare(image, self.description.resizing), self.description.least_side
        if min(resized.shape[:2]) < least:
            raise ValueError(f'it becomes {resized.shape[0]}x{resized.shape[1]}, and the file takes {least} and more')
        return resized, image.shape[:2]

    def forward(self, prepared: tuple[np.ndarray, tuple[int, int]]) -> Any:
        resized, (height, width) = prepared
        if self.detects:
            from mmdet.structures import DetDataSample

            size = resized.shape[:2]
            meta = dict(ori_shape=(height, width), img_shape=size, scale_factor=(size[1] / width, size[0] / height))
            sample = DetDataSample(metainfo=meta)
        else:
            from mmpretrain.structures import DataSample

            sample = DataSample()
        picture = torch.from_numpy(resized).permute(2, 0, 1)
        return self.model.test_step({'inputs': [picture], 'data_samples': [sample]})[0]


def check_any(images: Sequence[str | Path]) -> None:
    """Refuses pictures of which none can be read, before a model is built."""
    wrong = []
    for path in images:
        try:
            LoadImageFromFile()({'img_path': path})
            return
        except UnreadableImageError as error:
            wrong.append(str(error))
    raise SeMmError(listed(wrong, 3) + '; expected picture files')


def _picture_names(images: Sequence[str | Path]) -> dict[str | Path, str]:
    """A name for each image's picture: its own, or with its folder where two have the same; OpenCV can write it."""
    names: dict[str | Path, str] = {}
    taken: set[str] = set()
    for given in images:
        path = Path(given)
        name = path.name if cv2.haveImageWriter(path.name) else f'{path.name}.png'
        for folder in path.absolute().parents:
            if name not in taken:
                break
            name = f'{folder.name}_{name}'
        names[given] = name
        taken.add(name)
    return names


def _coco(found: Sequence[dict[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    annotations = [
        {'image_id': image_id, 'area': entry['bbox'][2] * entry['bbox'][3], 'iscrowd': 0, **entry}
        for image_id, image in enumerate(found, start=1)
        for entry in image['found']
    ]
    return {
        'info': {'description': PREDICTIONS},
        'images': [{'id': i, **image['image']} for i, image in enumerate(found, start=1)],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(classes, start=1)],
        'annotations': [{'id': i, **entry} for i, entry in enumerate(annotations, start=1)],
    }
