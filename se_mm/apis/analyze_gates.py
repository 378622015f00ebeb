"""The analysis of the gates of a trained model as files: arrays, a table, figures, one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.config import Config

from ..analysis.gates.figures import choose_channels, draw_figures
from ..analysis.gates.record import record_gates, save_gates
from ..analysis.gates.removal import Removal, study_removal
from ..analysis.gates.report import write_report
from ..analysis.gates.samples import check_classes, choose_pictures, pictures_of
from ..analysis.gates.statistics import gate_statistics
from ..analysis.gates.study import Study
from ..utils.console import say
from ..utils.paths import make_folder


def analyze_gates(
    cfg: Config,
    checkpoint: str,
    out: str | Path,
    *,
    classes: Sequence[str] | None = None,
    per_class: int = 50,
    channels: int = 50,
    seed: int = 0,
    removal: bool = False,
    metric: str | None = None,
    calibration: int = 256,
) -> None:
    """Writes ``gates.npz``, ``gates.json``, the figures and ``report.html`` into a folder.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that a training wrote.
        out: the folder; made where it is missing.
        classes: that are drawn; ``None``: up to four.
        per_class: pictures of each class.
        channels: of a block that are drawn, uniformly sampled.
        seed: of the choice of pictures and channels.
        removal: whether the metric without each gate is measured too.
        metric: of that study; ``None``: mAP or top-1.
        calibration: training pictures for its mean gates.

    Raises:
        SeMmError: for a model without gates, an unknown class, an empty data set, or a checkpoint
            or a folder that does not fit.
    """
    choose_channels(1, channels, 0)  # refused before anything is read
    out = Path(out)
    make_folder(out, f'--out {out}')
    study = Study(cfg, checkpoint, out / 'log')
    loader = study.loader('test')
    pictures, notes = choose_pictures(pictures_of(loader.dataset), per_class, seed)
    drawn = check_classes(classes, pictures.class_names, pictures.classes)
    with TemporaryDirectory(dir=out, prefix='.gates-') as folder:
        batches = study.batches_of(loader, pictures.indices, 'gates')
        values = record_gates(study.model, batches, study.gates, len(pictures), Path(folder))
        found = {name: gate_statistics(array, pictures.classes, pictures.sizes) for name, array in values.items()}
        save_gates(values, pictures, Path(folder, 'gates.npz')).replace(out / 'gates.npz')
    notes += study.unreadable()
    for note in notes:
        say(note)
    removals, about = [], ''
    if removal:
        means, source = study.mean_gates(calibration, seed)
        evaluate, name, before = study.metric('test', metric)
        about = f'{name} on the test set; mean gates over {source}'
        removals = [Removal('nothing', (), 0, before, before)]
        removals += study_removal(study.gates, means, lambda: evaluate(study.model))
    figures = draw_figures(study.gates, found, pictures, drawn, channels, seed, out)
    sampled = f'Up to {per_class} pictures of each class; {channels} channels of each block are drawn (seed {seed}).'
    write_report(study, pictures, [sampled, *notes], found, figures, removals, about, out)
    say(f'{len(pictures)} pictures: {out / "report.html"}, gates.npz and gates.json beside it')
