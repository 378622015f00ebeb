"""Runs a file that tools/export.py wrote with numpy, OpenCV and ONNX Runtime alone: MODEL.onnx IMAGE [PICTURE.png]."""

import json
import sys

import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])
meta = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
picture = cv2.imread(sys.argv[2])
image = picture
for step in meta['resizing']:  # what the test pipeline does to the size; the pixels' values are the graph's affair
    height, width = image.shape[:2]
    if 'crop' in step:
        left, top = (round((have - want) / 2) for have, want in zip((width, height), step['crop'], strict=True))
        image = image[top : top + step['crop'][1], left : left + step['crop'][0]]
        continue
    size = step.get('resize') or [int(step['short_edge'] * side / min(width, height)) for side in (width, height)]
    if step.get('keep_ratio'):
        factor = min(max(size) / max(width, height), min(size) / min(width, height))
        size = [int(width * factor + 0.5), int(height * factor + 0.5)]
    image = cv2.resize(image, size)
outputs = dict(zip(meta['outputs'], session.run(None, {'image': np.ascontiguousarray(image[None])}), strict=True))
if meta['task'] == 'classification':
    for label in outputs['scores'][0].argsort()[::-1][:5]:
        print(f'{meta["classes"][label]} {outputs["scores"][0, label]:.3f}')
else:
    scale = np.tile(np.divide(picture.shape[1::-1], image.shape[1::-1]), 2)
    for box, score, label in zip(*(outputs[name][0] for name in ('boxes', 'scores', 'labels')), strict=True):
        if score > 0.3:
            print(meta['classes'][label], f'{score:.3f}', (box * scale).round(1).tolist())
            x1, y1, x2, y2 = (box * scale).round().astype(int).tolist()
            cv2.rectangle(picture, (x1, y1), (x2, y2), (0, 0, 255), 2)
    if len(sys.argv) > 3:
        cv2.imwrite(sys.argv[3], picture)
