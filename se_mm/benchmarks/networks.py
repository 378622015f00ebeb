"""Speed and memory of backbones and detectors: our networks and those of others, interleaved in one run."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from ..errors import SeMmError
from ..models.deploy import deploy
from ..utils.memory import peak_resident_bytes
from ..utils.tables import markdown_table
from .compared_networks import Candidate, attentions, backbones, detectors
from .measuring import MIB, interleaved, kept_bytes, peak_bytes
from .sessions import RUNTIMES, session_of

#: The networks that others are held against.
MMDET = ('mmdet.ResNet', 'mmdet.ResNeXt')
MODES = ('inference', 'training', 'detector-inference', 'detector-training')
#: What becomes of a backbone, in place, before inference.
FORMS: dict[str, Callable[[nn.Module], None]] = {
    'default': lambda backbone: None,
    'deployed': deploy,
    'compiled': lambda backbone: deploy(backbone, compiled=True),
}


@dataclass(frozen=True)
class Setting:
    """What is measured, and how."""

    mode: str  # one of ``MODES``
    depth: int = 50
    size: tuple[int, int, int] = (1, 800, 1344)  # batch, height and width
    device: str = 'cpu'  # or ``'cuda'``
    amp: bool = False  # under autocast
    train_norms: bool = False  # trained as a whole, BatchNorm in training mode; else frozen as in mmdet
    compiled: bool = False  # the deployed forms also through ``torch.compile``
    attention: tuple[str, ...] = ()  # the layers to compare in our ResNet, in place of other networks
    runtimes: tuple[str, ...] = ()  # of ``RUNTIMES``: further forms for the inference of backbones
    resnext: bool = False  # ResNeXt 32x4d in place of ResNet

    @property
    def training(self) -> bool:
        return 'training' in self.mode

    @property
    def detector(self) -> bool:
        return self.mode.startswith('detector')

    def candidates(self) -> list[Candidate]:
        """The networks to compare."""
        if self.detector:
            return detectors(self.depth)
        frozen = self.training and not self.train_norms
        if self.attention:
            return attentions(self.depth, self.attention, frozen)
        return backbones(self.depth, frozen, self.resnext)

    def forms(self) -> list[str]:
        """In which each of them is measured."""
        if self.training:
            return ['default']
        return ['default', 'deployed', *(['compiled'] if self.compiled else []), *self.runtimes]

    def __str__(self) -> str:
        batch, height, width = self.size
        network = 'ResNeXt 32x4d, ' if self.resnext else ''
        kind = (', BatchNorm in training mode' if self.train_norms else '') + (', AMP' if self.amp else '')
        return f'{self.mode}, {network}depth {self.depth}, {batch}x3x{height}x{width}{kind}'


@dataclass
class Measured:
    """What was measured of a candidate in one form."""

    name: str
    form: str  # one of ``FORMS`` or ``RUNTIMES``
    plain: str  # the name of its plain twin
    seconds: list[float] = field(default_factory=list)  # of each round
    peak: int = 0  # bytes, see :func:`~se_mm.benchmarks.measuring.peak_bytes`; 0 on the CPU
    kept: int = 0  # bytes that autograd keeps for the backward; 0 in inference
    resident: int = 0  # bytes of a fresh process at its peak; 0 if not measured

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, relative to the median; 0 for fewer than three rounds."""
        if len(self.seconds) < 3:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median


class Run:
    """A model in one form, its input, and one call of it: a forward, or a forward and a backward."""

    def __init__(self, candidate: Candidate, form: str, setting: Setting) -> None:
        torch.manual_seed(0)
        self.setting = setting
        self.model = candidate.build().to(setting.device)
        if form in FORMS:
            FORMS[form](self.model.backbone if setting.detector else self.model)
        self.model.train(setting.training)
        batch, height, width = setting.size
        if setting.detector:
            from mmdet.testing import demo_mm_inputs

            data = demo_mm_inputs(batch, [(3, height, width)] * batch, num_items=[8] * batch, num_classes=80)
            self.data = self.model.data_preprocessor(data, setting.training)
        else:
            generator = torch.Generator().manual_seed(0)
            self.data = torch.randn(batch, 3, height, width, generator=generator).to(setting.device)
        self.session = session_of(form, self.model, self.data) if form in RUNTIMES else None

    def forward(self) -> Any:
        """The loss in training, else the outputs."""
        with torch.autocast(torch.device(self.setting.device).type, enabled=self.setting.amp):
            if self.setting.detector and self.setting.training:
                return self.model.parse_losses(self.model(**self.data, mode='loss'))[0]
            if self.setting.detector:
                return self.model(**self.data, mode='predict')
            features = self.model(self.data)
            return sum(feature.float().mean() for feature in features) if self.setting.training else features

    def __call__(self) -> None:
        if self.session:
            self.session()
            return
        with torch.set_grad_enabled(self.setting.training):
            out = self.forward()
        if self.setting.training:
            out.backward()
            self.model.zero_grad(set_to_none=True)


def measure(setting: Setting, rounds: int, only: str = '', resident: bool = False) -> list[Measured]:
    """Times every candidate in every form, round by round.

    Args:
        setting: what to measure.
        rounds: how many.
        only: a part of the names of the candidates to measure.
        resident: whether each also runs in a fresh process, for its peak of resident memory.

    Raises:
        SeMmError: if the device is not there, no candidate has such a name, or a runtime cannot be used.
    """
    if setting.device == 'cuda' and not torch.cuda.is_available():
        raise SeMmError('--device cuda: torch finds no GPU here; leave it out')
    if setting.runtimes and (setting.mode != 'inference' or setting.device != 'cpu'):
        raise SeMmError('--runtimes is for --mode inference on the CPU')
    chosen = [candidate for candidate in setting.candidates() if only in candidate.name]
    if not chosen:
        raise SeMmError(f'--only {only}: no candidate has this in its name')
    runs: list[Run] = []
    found: list[Measured] = []
    for candidate in tqdm(chosen, 'preparing', disable=None):
        for form in setting.forms():
            runs.append(run := Run(candidate, form, setting))
            run()  # the first one chooses algorithms, and compiles
            measured = Measured(candidate.name, form, candidate.plain)
            if setting.training:
                measured.kept = kept_bytes(run.forward, run.model)
            if setting.device == 'cuda':
                measured.peak = peak_bytes(run)
            if resident:
                with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
                    step = pool.submit(_two_steps, setting, candidate.name, form, torch.get_num_threads())
                    measured.resident = step.result()
            found.append(measured)
    for index, seconds in interleaved(dict(enumerate(runs)), rounds).items():
        found[index].seconds = seconds
    return found


def _two_steps(setting: Setting, name: str, form: str, threads: int) -> int:
    """The peak of memory of a process that does two steps of a candidate and nothing else."""
    torch.set_num_threads(threads)
    (candidate,) = (candidate for candidate in setting.candidates() if candidate.name == name)
    run = Run(candidate, form, setting)
    run()
    run()
    return peak_resident_bytes()


def machine(device: str) -> str:
    """What the figures were measured on."""
    cpu = f'{platform.machine()}, {torch.get_num_threads()} threads'
    hardware = torch.cuda.get_device_name() if device == 'cuda' else cpu
    versions = {name: __import__(name).__version__ for name in ('mmengine', 'mmdet', 'mmpretrain')}
    return f'{hardware}; torch {torch.__version__}, ' + ', '.join(f'{name} {v}' for name, v in versions.items())


def table(measured: list[Measured]) -> list[str]:
    """The lines of a Markdown table: each figure, its ratio to the plain twin in the same form, and to mmdet's network.

    Without mmdet's network the first is in its place.
    """
    columns = {
        'median ms': lambda entry: 1e3 * entry.median,
        'min ms': lambda entry: 1e3 * min(entry.seconds),
        'kept MiB': lambda entry: entry.kept / MIB,
        'peak MiB': lambda entry: entry.peak / MIB,
        'RSS MiB': lambda entry: entry.resident / MIB,
    }
    columns = {title: of for title, of in columns.items() if of(measured[0])}
    by_name = {(entry.name, entry.form): entry for entry in measured}
    base = next((entry for entry in measured if entry.name.endswith(MMDET)), measured[0])
    header = ['network', 'form', 'spread']
    for title in columns:
        header += [title, '/ plain', f'/ {base.name}']
    rows = []
    for entry in measured:
        plain = by_name.get((entry.plain, entry.form))
        row = [entry.name, entry.form, f'±{100 * entry.spread:.1f}%']
        for of in columns.values():
            ratios = [f'{of(entry) / of(other):.3f}' if other else '' for other in (plain, base)]
            row += [f'{of(entry):.1f}', *ratios] if of(entry) else ['', '', '']  # not known of another runtime
        rows.append(row)
    return markdown_table(header, rows)
