"""One COCO file without a split, read like the other formats; its own fields stay."""

from __future__ import annotations

from pathlib import Path

from ...config.coco_layout import find_coco
from ..validation import coco_json
from .annotated import Box, Picture, PictureIndex, Reading


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The COCO data set below a folder; ``None`` where there is none."""
    found = find_coco(root)
    if not found:
        return None
    reading = Reading('COCO JSON', files=len(found), classes=[])
    for split, file in sorted(found.items(), key=lambda entry: str(entry[0])):
        content = coco_json.read(root / file.file)
        inspection = coco_json.inspect(content, {category['id'] for category in content['categories']})
        reading.broken += [(f'{file.file}: {name}', why) for name, why in inspection.taken_out]
        names = {category['id']: category['name'] for category in content['categories']}
        reading.classes += [name for name in names.values() if name not in reading.classes]
        pictures = {}
        for image in inspection.content['images']:
            name = (Path(file.images) / image['file_name']).as_posix()
            pictures[image['id']] = Picture(name, split=split, size=(int(image['width']), int(image['height'])))
            if not (root / name).is_file():
                reading.broken.append((name, f'is named by {file.file} and is not there'))
                del pictures[image['id']]
        for annotation in inspection.content['annotations']:
            picture = pictures.get(annotation['image_id'])
            if picture is None:
                continue
            x, y, width, height = annotation['bbox']
            own = {key: annotation[key] for key in ('segmentation', 'area') if annotation.get(key)}
            name = names.get(annotation['category_id'], '')
            crowd = bool(annotation.get('iscrowd') or annotation.get('ignore'))
            picture.boxes.append(Box(name, (x, y, x + width, y + height), crowd, own))
        reading.pictures += pictures.values()
    return reading
