"""A folder for each training: ``work_dirs/NAME/run1``, ``run2``, ..., and ``last``, a link to the newest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process

from ..config.load import has_default_work_dir
from ..errors import SeMmError
from ..utils.console import say
from ..utils.processes import of_main_process

#: The link to the newest run.
NEWEST = 'last'


@contextmanager
def own_folder(cfg: Config, resume: str | None) -> Iterator[None]:
    """Sets ``cfg.work_dir`` to the folder of this training alone; one that does not start leaves no new folder.

    Args:
        cfg: its ``work_dir`` is the folder of all runs if it is the default. One that a user names is the folder of the
            training, unless another one left its files there: then it gets a ``run2`` inside.
        resume: ``'auto'`` for the newest run with a checkpoint, the checkpoint of one, or ``None``.

    Raises:
        SeMmError: if the folder cannot be made.
    """
    cfg.work_dir, is_new = of_main_process(lambda: _chosen(cfg, resume))
    try:
        yield
    except SeMmError:
        if is_new and is_main_process() and not any(Path(cfg.work_dir).glob('*.py')):  # written when it starts
            shutil.rmtree(cfg.work_dir, ignore_errors=True)
        raise


def point_to_newest(work_dir: str | Path) -> None:
    """Lets ``last`` beside a run be a link to it, where links can be made."""
    folder = Path(work_dir).absolute()
    if _number(folder):
        link = folder.with_name(f'.{NEWEST}')
        with suppress(OSError):
            link.unlink(missing_ok=True)
            link.symlink_to(folder.name, target_is_directory=True)
            link.replace(folder.with_name(NEWEST))


def _chosen(cfg: Config, resume: str | None) -> tuple[str, bool]:
    """The folder, and whether it was made for this."""
    base = Path(cfg.work_dir)
    runs = sorted(filter(_number, base.glob('run*')), key=_number, reverse=True)
    there = [run for run in (*runs, base) if any(run.glob('*.pth')) or (run / 'validations.json').is_file()]
    if resume == 'auto' and there:
        return str(there[0]), False
    if resume and resume != 'auto' and Path(resume).parent.resolve() in [run.resolve() for run in there]:
        return str(Path(resume).parent), False
    if not has_default_work_dir(cfg) and (not there or resume):
        return str(base), not base.exists()
    number = max([_number(run) for run in runs] + [int(base in there)]) + 1
    try:
        base.mkdir(parents=True, exist_ok=True)
        while True:
            with suppress(FileExistsError):  # of a training that began at the same time
                (base / f'run{number}').mkdir()
                break
            number += 1
    except OSError as error:
        raise SeMmError(f'work_dir {base} cannot be written to: {error.strerror}; --work-dir names another') from error
    if base in there:
        say(f'{base} holds a training already: this one is in {base}/run{number} (--resume goes on with that one)')
    return str(base / f'run{number}'), True


def _number(folder: Path) -> int:
    digits = folder.name.removeprefix('run')
    return int(digits) if folder.name.startswith('run') and digits.isdecimal() else 0
