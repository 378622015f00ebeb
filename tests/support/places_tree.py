"""Small trees of Places365 in the three forms that its archives take."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from se_mm.datasets.places365 import CLASSES, FOLDERS

LAYOUTS = ('256', 'large', 'easy')


def picture(label: int, seed: int, size: int = 40) -> bytes:
    generator = np.random.default_rng(1000 * label + seed)
    level = np.array([label % 8, label // 8 % 8, label // 64]) * 30 + 20
    image = (level + generator.normal(0, 8, (size, size, 3))).clip(0, 255).astype(np.uint8)
    return cv2.imencode('.jpg', image)[1].tobytes()


def make(root: Path, layout: str, train: int = 2, val: int = 1) -> Path:
    """The same pictures in each layout; ``train`` and ``val`` are pictures a class."""
    train_lines, val_lines, number = [], [], 0
    for label, folder in enumerate(FOLDERS):
        for i in range(train + val):
            split = 'train' if i < train else 'val'
            number += split == 'val'
            name = f'{i + 1:08d}.jpg' if split == 'train' else f'Places365_val_{number:08d}.jpg'
            if layout == 'easy':
                file = root / split / CLASSES[label].replace('/', '-') / name
            elif split == 'train':
                file = root / f'data_{layout}' / folder[1:] / name
                train_lines.append(f'{folder}/{name} {label}')
            else:
                file = root / f'val_{layout}' / name
                val_lines.append(f'{name} {label}')
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(label, i))
    if layout != 'easy':
        (root / 'places365_train_standard.txt').write_text('\n'.join(train_lines) + '\n')
        (root / 'places365_val.txt').write_text('\n'.join(val_lines))
    return root
