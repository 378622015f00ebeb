"""Cache of what preflight found in large annotation files, which take a minute to read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...utils.atomic import write_atomic
from ...version import __version__

#: Bytes; smaller annotation files are read each time.
LARGE = 1 << 20
#: Counts changes of what is checked.
_RULES = 2


@dataclass
class CheckResult:
    """The outcome of a check that had nothing to refuse or to repair.

    Attributes:
        said: what was printed.
        left_out: names of annotations that are not trained on, with the reason.
        classes: of the data set.
    """

    said: str
    classes: list[str]
    left_out: list[list[str]] = field(default_factory=list)


def cache_file(ann_file: Path, image_folder: Path, dataset_cfg: Mapping[str, Any], *others: str) -> Path | None:
    """Where the result of a check is kept; ``None`` for a small annotation file.

    The name is a hash of all that it depends on: path, size and modification time of the
    file, the modification time of the image folder, the config of the data set, and ``others``.
    """
    file, folder = ann_file.stat(), image_folder.stat()
    if file.st_size < LARGE:
        return None
    config = {key: value for key, value in dataset_cfg.items() if key != 'pipeline'}
    facts = [
        str(ann_file.absolute()),
        file.st_size,
        file.st_mtime_ns,
        folder.st_mtime_ns,
        config,
        *others,
        __version__,
        _RULES,
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()
    cache = Path(os.environ.get('XDG_CACHE_HOME') or '~/.cache').expanduser()
    return cache / 'se_mm' / 'preflight' / f'{digest[:32]}.json'


def load(file: Path | None) -> CheckResult | None:
    """The result in a file; ``None`` where there is none or it cannot be read."""
    with suppress(OSError, ValueError, TypeError):
        return CheckResult(**json.loads(file.read_text())) if file else None
    return None


def save(file: Path | None, result: CheckResult) -> None:
    """Keeps a result, where the cache can be written to."""
    if file:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps(asdict(result)))
