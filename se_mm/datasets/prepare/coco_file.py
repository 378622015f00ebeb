"""COCO files without a split, read like the other formats; their own fields stay."""

from __future__ import annotations

from pathlib import Path

from ...config.coco_layout import coco_files, split_of
from ...errors import SeMmError
from ..validation import coco_json
from .annotated import Box, Picture, PictureIndex, Reading


def read(root: Path, index: PictureIndex) -> Reading | None:
    """The COCO data set below a folder; ``None`` where there is none."""
    found = coco_files(root)
    if not found:
        return None
    reading = Reading('COCO JSON', files=len(found), classes=[])
    annotated_by: dict[str, str] = {}
    for file in found:
        split = split_of(file.file)
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
        for picture in pictures.values():
            other = annotated_by.setdefault(picture.file, file.file)
            if other != file.file:
                raise SeMmError(f'{root}: {other} and {file.file} both annotate {picture.file}; move one of them away')
        reading.pictures += pictures.values()
    return reading
