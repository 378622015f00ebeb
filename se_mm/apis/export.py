"""From a config and a checkpoint to a file that is only kept if it gives what PyTorch gives."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

from ..datasets.validation import preflight
from ..engine import switches
from ..engine.evaluation import load_weights
from ..engine.runner import build_runner, test
from ..errors import SeMmError, listed
from ..evaluation.metrics import USUAL_METRICS, find_metric, share_lost
from ..export.exported_model import use_exported
from ..export.parity import LIMITS
from ..export.runtimes import ExportedFile
from ..export.writing import Options, keep, write_compared


def export(cfg: Config, checkpoint: str, out: str | Path, options: Options) -> tuple[Path, list[str]]:
    """Exports a trained model.

    Args:
        cfg: the config that the checkpoint was trained with.
        checkpoint: a file that ``tools/train.py`` wrote.
        out: the folder of the file, which is called as the config.
        options: what is asked for.

    Returns:
        The file, and what was compared, in lines for the user.

    Raises:
        SeMmError: if the model cannot be exported, or the file does not give what PyTorch gives;
            nothing is left in the folder then.
    """
    cfg, out = copy.deepcopy(cfg), Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out, prefix='.export_')
    except OSError as error:
        raise SeMmError(f'-o {out} is no folder that can be written to: {error}') from error
    needs_test_set = options.validate or not options.images
    with folder as temporary:
        path = Path(temporary) / (Path(cfg.filename).stem if cfg.filename else 'model')
        cfg.work_dir = str(Path(temporary) / 'log')
        if needs_test_set:
            preflight.check(cfg, ('test',))
        runner = build_runner(cfg, switches.guard_data)
        load_weights(runner, checkpoint)
        test_set = runner.test_dataloader.dataset if needs_test_set else None
        file, report = write_compared(runner.model.cpu().eval(), test_set, cfg, checkpoint, path, options)
        metric: dict[str, float] = {}
        if options.validate:
            lines, metric = _compare_metrics(runner, file)
            report += lines
        return keep(file, out, report, metric), report


def _compare_metrics(runner: Runner, file: ExportedFile) -> tuple[list[str], dict[str, float]]:
    model = runner.model
    use_exported(runner, file)
    theirs = test(runner)
    runner.model = model
    ours = test(runner)
    deciding = {found: None for usual in USUAL_METRICS if (found := find_metric(ours, usual))}
    if not deciding:
        raise SeMmError(f'the test_evaluator gives {listed(list(ours))}; expected one of {", ".join(USUAL_METRICS)}')
    limit, lines = LIMITS[file.description.precision].metric, []
    for name in deciding:
        difference = abs(share_lost(name, ours[name], theirs[name]))
        lines.append(f'{name} {theirs[name]:.4f}, PyTorch {ours[name]:.4f}')
        if not difference <= limit:
            raise SeMmError(
                f'{file.path} is not kept: {lines[-1]}, which differ by {difference:.4f}; expected {limit} at most'
            )
    return lines, {name: float(value) for name, value in theirs.items() if isinstance(value, (int, float))}
