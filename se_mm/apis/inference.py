"""Predictions on pictures, through mmdet's and mmpretrain's own inferencers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from ..errors import SeMmError
from ..visualization.classification import draw_best
from .evaluation import deploy

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
TOP = 5


def find_images(paths: Sequence[str]) -> list[str]:
    """The pictures among the paths; a folder stands for those in it.

    Raises:
        SeMmError: for a path that does not exist, a folder without pictures, or a file that no decoder reads.
    """
    found: list[str] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise SeMmError(f'folder {path} holds no picture ({", ".join(IMAGE_SUFFIXES)})')
            found += inside
        elif path.is_file():
            found.append(str(path))
        else:
            raise SeMmError(f'image {path} does not exist (looked in {path.absolute()})')
    for path in found:
        if mmcv.imread(path) is None:
            raise SeMmError(f'image {path} cannot be decoded; expected a picture file')
    return found


def infer(
    cfg: Config,
    checkpoint: str,
    images: Sequence[str],
    out: Path,
    score_threshold: float = 0.3,
    deployed: bool = False,
) -> Path:
    """Writes annotated pictures and a JSON of the predictions under ``out``.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that ``tools/train.py`` wrote.
        images: picture files, as :func:`find_images` gives them.
        out: a folder; made where it is missing.
        score_threshold: boxes below it are not drawn; the JSON holds all.
        deployed: whether the norms of its SE backbones are folded first.

    Returns:
        The JSON file. For a detector it is in COCO's form (``images``, ``categories``,
        ``annotations`` with ``bbox`` as x, y, width, height and ``score``); category ids count
        the classes of the config from 1. For a classifier it names the five best classes,
        which are printed too.

    Raises:
        SeMmError: if the checkpoint does not fit the config.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SeMmError(f'--out {out} is no folder that can be written to: {error}') from error
    # The inferencers load what fits; here it is all or nothing, so the weights are loaded before.
    state, classes = _read(checkpoint)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    detects = cfg.get('default_scope') == 'mmdet'
    if detects:
        from mmdet.apis import DetInferencer

        inferencer = DetInferencer(cfg, checkpoint, device=device, show_progress=False)
    else:
        from mmpretrain import ImageClassificationInferencer

        inferencer = ImageClassificationInferencer(cfg, pretrained=checkpoint, device=device, classes=classes)
    try:
        inferencer.model.load_state_dict(state)
    except RuntimeError as error:
        raise SeMmError(f'checkpoint {checkpoint} does not fit the config: {" ".join(str(error).split())}') from error
    if deployed:
        deploy(inferencer.model)
    if detects:
        samples = inferencer(
            list(images), return_datasamples=True, out_dir=str(out), pred_score_thr=score_threshold, no_save_pred=True
        )['predictions']
        content = _coco(samples, images, classes)
    else:
        samples = inferencer(list(images), return_datasamples=True)
        content = [_best(sample, image, classes) for sample, image in zip(samples, images, strict=True)]
        for entry in content:
            scores = {best['class']: best['score'] for best in entry['best']}
            print(f'{entry["file_name"]}: ' + ', '.join(f'{name} {score:.3f}' for name, score in scores.items()))
            draw_best(mmcv.imread(entry['file_name']), scores, out / 'vis' / f'{Path(entry["file_name"]).stem}.png')
    file = out / 'predictions.json'
    file.write_text(json.dumps(content, indent=1))
    return file


def _read(checkpoint: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    try:
        return content['state_dict'], tuple(content['meta']['dataset_meta']['classes'])
    except (KeyError, TypeError) as error:
        raise SeMmError(
            f'checkpoint {checkpoint} is not one that tools/train.py wrote (state_dict and class names): {error!r}'
        ) from error


def _coco(samples: Sequence[Any], images: Sequence[str], classes: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    content: dict[str, list[dict[str, Any]]] = {
        'images': [],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(classes, start=1)],
        'annotations': [],
    }
    for image_id, (sample, name) in enumerate(zip(samples, images, strict=True), start=1):
        height, width = sample.ori_shape
        content['images'].append({'id': image_id, 'file_name': name, 'height': height, 'width': width})
        found = sample.pred_instances.cpu()
        for (x1, y1, x2, y2), score, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': image_id,
                    'category_id': label + 1,
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'area': (x2 - x1) * (y2 - y1),
                    'iscrowd': 0,
                    'score': score,
                }
            )
    return content


def _best(sample: Any, image: str, classes: Sequence[str]) -> dict[str, Any]:
    scores, labels = sample.pred_score.cpu().topk(min(TOP, len(sample.pred_score)))
    best = [{'class': classes[i], 'score': s} for s, i in zip(scores.tolist(), labels.tolist(), strict=True)]
    return {'file_name': image, 'best': best}
