"""A detection set that is drawn rather than downloaded: coloured shapes on noise, in COCO's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

CLASSES = ('disc', 'box', 'triangle')
SPLITS = {'train': 500, 'val': 100}
SIDE = 128
#: Radii in pixels, spread evenly on a logarithmic scale: small, medium and large in about equal parts.
RADII = (12, 40)
#: The part of each shape that later ones leave visible, at least.
LEAST_VISIBLE = 0.6
#: Between a shape and what it covers: the differences of blue, green and red, added up.
LEAST_CONTRAST = 200


def draw(root: Path, seed: int = 0) -> None:
    """Writes ``{train,val}/*.jpg`` and ``annotations/{train,val}.json`` under ``root``.

    The same seed draws the same set; each box is that of the whole shape, also where a later
    shape hides a part of it.

    Args:
        root: a folder; made where it is missing.
        seed: of the random number generator.
    """
    for number, (split, count) in enumerate(SPLITS.items()):
        generator = np.random.default_rng([seed, number])
        Path(root, split).mkdir(parents=True, exist_ok=True)
        Path(root, 'annotations').mkdir(exist_ok=True)
        images, annotations = [], []
        for image_id in tqdm(range(1, count + 1), desc=f'drawing {split}', unit='image', disable=None):
            picture, shapes = draw_image(generator)
            name = f'{image_id:04d}.jpg'
            cv2.imwrite(str(Path(root, split, name)), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])
            images.append({'id': image_id, 'file_name': name, 'width': SIDE, 'height': SIDE})
            annotations += [
                {'id': len(annotations) + k, 'image_id': image_id, 'iscrowd': 0, **shape}
                for k, shape in enumerate(shapes, start=1)
            ]
        categories = [{'id': i, 'name': name} for i, name in enumerate(CLASSES, start=1)]
        content = {'images': images, 'annotations': annotations, 'categories': categories}
        Path(root, 'annotations', f'{split}.json').write_text(json.dumps(content))


def draw_image(generator: np.random.Generator) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """One image, (128, 128, 3) uint8, and the COCO fields of its shapes: category, box, area.

    Example:
        >>> image, shapes = draw_image(np.random.default_rng(0))
        >>> image.shape, {len(shape['bbox']) for shape in shapes}
        ((128, 128, 3), {4})
    """
    picture = _background(generator)
    drawn: list[tuple[int, np.ndarray]] = []
    visible: list[np.ndarray] = []
    for _ in range(generator.integers(3, 7)):
        kind = int(generator.integers(len(CLASSES)))
        mask = _mask(kind, generator)
        covered = mask > 0.5
        left = [earlier & ~covered for earlier in visible]
        if any(now.sum() < LEAST_VISIBLE * whole.sum() for now, (_, whole) in zip(left, drawn, strict=True)):
            continue
        drawn.append((kind, covered))
        visible = [*left, covered]
        texture = generator.normal(0, 8, (SIDE, SIDE, 3))
        picture = picture * (1 - mask[..., None]) + (_colour(picture, mask, generator) + texture) * mask[..., None]
    shapes = [{'category_id': kind + 1, 'bbox': _box(whole), 'area': float(whole.sum())} for kind, whole in drawn]
    return picture.clip(0, 255).astype(np.uint8), shapes


def _background(generator: np.random.Generator) -> np.ndarray:
    coarse = generator.uniform(80, 175, (5, 5, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return smooth + generator.normal(0, 12, (SIDE, SIDE, 3))


def _colour(picture: np.ndarray, mask: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A colour that stands out from what the shape will cover."""
    covered = (picture * mask[..., None]).sum((0, 1)) / max(mask.sum(), 1)
    while True:
        colour = generator.integers(0, 256, 3)
        if np.abs(colour - covered).sum() > LEAST_CONTRAST:
            return colour


def _mask(kind: int, generator: np.random.Generator) -> np.ndarray:
    """Coverage of each pixel by a shape of random size, place, turn and aspect, (128, 128) in 0..1."""
    radius = np.exp(generator.uniform(*np.log(RADII)))
    centre = generator.uniform(0.6 * radius, SIDE - 0.6 * radius, 2)
    turn = generator.uniform(0, 2 * np.pi)
    stretch = np.array([1.0, generator.uniform(0.65, 1.0)])
    if CLASSES[kind] == 'disc':
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    elif CLASSES[kind] == 'box':
        angles = np.arange(4) * np.pi / 2 + np.pi / 4
    else:
        angles = np.arange(3) * 2 * np.pi / 3
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * stretch
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = centre + radius * outline @ rotation.T
    mask = np.zeros((SIDE, SIDE), np.uint8)
    fixed_point = np.round(points * 16).astype(np.int32)  # fillPoly's shift=4: sixteenths of a pixel
    cv2.fillPoly(mask, [fixed_point], 255, lineType=cv2.LINE_AA, shift=4)
    return mask / 255.0


def _box(covered: np.ndarray) -> list[float]:
    ys, xs = np.nonzero(covered)
    return [float(v) for v in (xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min())]
