"""Which checkpoint a training goes on from, and what of it the config takes over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..config.batches import nominal_size
from ..config.differences import differences
from ..config.loaders import datasets_of
from ..config.model_argument import NOT_COMPUTING, config_in
from ..config.pretrained import without_pretrained
from ..errors import SeMmError, listed
from ..utils.console import warn
from ..utils.paths import existing_file
from ..utils.processes import of_main_process
from ..weights.files import read_checkpoint

#: mmengine's file in the work_dir with the path of the newest checkpoint.
LAST = 'last_checkpoint'


def resume(cfg: Config, checkpoint: str) -> None:
    """Makes a config go on from a checkpoint, with its seed; from the start where ``auto`` finds none.

    Args:
        cfg: changed in place.
        checkpoint: a file, or ``auto`` for the newest in the work_dir.

    Raises:
        SeMmError: if the file cannot be resumed, or was trained on other classes.
    """
    found, seed, trained = of_main_process(lambda: _what_to_resume(cfg.work_dir, checkpoint))
    cfg.resume = bool(found)
    if not found:
        warn(f'--resume: no checkpoint in {cfg.work_dir} to go on from; the training starts')
        return
    for dataset in datasets_of(cfg.get('train_dataloader')):
        classes = tuple((dataset.get('metainfo') or {}).get('classes') or ())
        if classes and trained and classes != trained:
            raise SeMmError(
                f'--resume: {found} was trained on the classes {listed(trained, 5)}, and the config has '
                f'{listed(classes, 5)}; name its classes, or leave --resume out for a new training'
            )
    if other := of_main_process(lambda: [] if '://' in found else _other_setup(found, cfg)):
        raise SeMmError(
            f'--resume: {found} is of another set-up: {listed(other, 4)}; name what it had, or leave --resume out '
            'for a new training'
        )
    cfg.load_from = found
    without_pretrained(cfg.model)  # what it would load is replaced at once, and need not be fetched
    if seed is not None:
        if cfg.randomness.seed not in (None, seed):
            warn(f'the seed stays {seed}, that of {found}; {cfg.randomness.seed} is not used')
        cfg.randomness.seed = seed


def _other_setup(checkpoint: str, cfg: Config) -> list[str]:
    """Where the model, the data or their size differ from those of a checkpoint; data that were moved do not."""
    there = config_in(checkpoint)
    if there is None:
        return []
    changed = differences(there, cfg, ('model', 'data_preprocessor'), NOT_COMPUTING)
    roots = [
        {str(Path(d.get('data_root') or '.').resolve()) for d in datasets_of(c.get('train_dataloader'))}
        for c in (there, cfg)
    ]
    if roots[0] != roots[1] and all(Path(root).is_dir() for root in roots[0]):
        changed['the data'] = tuple(', '.join(sorted(each)) for each in roots)
    sizes = nominal_size(there), nominal_size(cfg)
    if sizes[0] != sizes[1]:
        changed['the size (width, height)'] = sizes
    return [f'{key} was {a!r} and is {b!r}' for key, (a, b) in changed.items()]


def latest_checkpoint(work_dir: str | Path, verbose: bool = True) -> str | None:
    """The path of the newest checkpoint in a work_dir that can be read and resumed; ``None`` where there is none.

    Args:
        work_dir: where a training left ``last_checkpoint`` and its files.
        verbose: whether checkpoints that are passed over are named.
    """
    for path in _candidates(Path(work_dir)):
        try:
            if '://' not in path:
                read_resumable(path)
            return path
        except SeMmError as error:
            if verbose:
                warn(f'{path} is passed over: {error}')
    return None


def read_resumable(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint that a training can go on from.

    Raises:
        SeMmError: if the file is no whole checkpoint, or has not the state of a training.
    """
    content = read_checkpoint(path)
    meta = content.get('meta')
    if not isinstance(meta, dict) or not {'epoch', 'iter'} <= set(meta) or 'message_hub' not in content:
        raise SeMmError(f'checkpoint {path} holds weights and no state of a training to resume')
    if 'optimizer' not in content:
        raise SeMmError(f'checkpoint {path} holds no state of the optimizer, so no training goes on from it')
    return content


def _what_to_resume(work_dir: str, checkpoint: str) -> tuple[str | None, int | None, tuple[str, ...]]:
    """The file, and the seed and the classes of its training."""
    is_auto = checkpoint == 'auto'
    found = latest_checkpoint(work_dir) if is_auto else existing_file(checkpoint, 'checkpoint to resume from')
    if not found or '://' in found:
        return found, None, ()
    try:
        meta = read_resumable(found)['meta']
    except SeMmError as error:
        raise SeMmError(f'{error}; start from it with --cfg-options load_from=...') from error
    return found, meta.get('seed'), tuple((meta.get('dataset_meta') or {}).get('classes') or ())


def _candidates(work_dir: Path) -> Iterator[str]:
    """The one that ``last_checkpoint`` names, then the others, newest first."""
    pointer, folder = work_dir / LAST, work_dir
    named = pointer.read_bytes().decode(errors='replace').strip() if pointer.is_file() else ''
    if {'\0', '\ufffd'} & {*named}:  # a loss of power may leave it full of NULs
        named = ''
    if named and '://' not in named:
        here = work_dir / Path(named).name  # the folder may have been moved or copied
        if here.is_file():
            named = str(here)
        elif Path(named).name != named:
            folder = Path(named).parent  # CheckpointHook's out_dir
    if named:
        yield named
    files = {*work_dir.glob('*.pth'), *folder.glob('*.pth')}
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        if str(file) != named and not file.name.startswith('best_'):
            yield str(file)
