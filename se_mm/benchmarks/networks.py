"""How fast the backbones are, and how much memory they take: ours and everybody's, interleaved in one run."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import nn
from tqdm import tqdm

from ..errors import SeMmError
from ..export.deployment import deploy

MIB = 2**20
#: A forward, and a forward to the loss.
Calls = tuple[Callable[[], Any], Callable[[], Any]]
MODES = ('inference', 'training', 'detector-inference', 'detector-training')


@dataclass(frozen=True)
class Contestant:
    """A network to measure.

    Attributes:
        name: in the table.
        build: makes it.
        plain: the name of its plain twin; empty for one that is plain.
    """

    name: str
    build: Callable[[], nn.Module]
    plain: str = ''


@dataclass
class Measured:
    """What was measured of a contestant in one form.

    Attributes:
        name: of the contestant.
        form: ``'default'``, ``'deployed'`` or ``'compiled'``.
        plain: the name of its plain twin.
        seconds: of each round.
        peak: bytes at the peak of a run, beyond what was there before it.
    """

    name: str
    form: str
    plain: str
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, relative to the median."""
        if len(self.seconds) < 3:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4)
        return (high - low) / 2 / self.median


def contestants(depth: int, training: bool) -> list[Contestant]:
    """Ours, mmdet's, mmpretrain's and timm's networks, the SE ones beside their plain twins."""
    frozen = dict(frozen_stages=1, norm_eval=True) if training else {}

    def build(**config: Any) -> Callable[[], nn.Module]:
        return lambda: MODELS.build(dict(depth=depth, **config, **frozen))

    every_stage = dict(out_indices=(0, 1, 2, 3))
    found = [
        Contestant('se_mm.SEResNet', build(type='se_mm.SEResNet'), 'se_mm without SE'),
        Contestant('se_mm without SE', build(type='se_mm.SEResNet', se_stages=())),
        Contestant('mmdet.ResNet', build(type='mmdet.ResNet')),
    ]
    if depth >= 50:  # mmpretrain's SE-ResNet has bottlenecks only
        found.append(
            Contestant('mmpretrain.SEResNet', build(type='mmpretrain.SEResNet', **every_stage), 'mmpretrain.ResNet')
        )
    found.append(Contestant('mmpretrain.ResNet', build(type='mmpretrain.ResNet', **every_stage)))
    try:
        import timm
    except ImportError:
        return found

    def timms(name: str) -> Callable[[], nn.Module]:
        def make() -> nn.Module:
            network = timm.create_model(name, features_only=True, out_indices=(1, 2, 3, 4))
            return freeze_as_detectors_do(network) if training else network

        return make

    return [
        *found,
        Contestant('timm seresnet', timms(f'seresnet{depth}'), 'timm resnet'),
        Contestant('timm resnet', timms(f'resnet{depth}')),
    ]


def freeze_as_detectors_do(network: nn.Module) -> nn.Module:
    """Stem and first stage without gradients and norms in evaluation, as mmdet trains; timm leaves it to the user."""
    for name in ('conv1', 'bn1', 'layer1'):
        getattr(network, name).requires_grad_(False)
    network.train = lambda mode=True: network  # its norms stay in evaluation
    for module in network.modules():
        module.training = not isinstance(module, nn.modules.batchnorm._BatchNorm)
    return network


def detectors(depth: int) -> list[Contestant]:
    """Faster R-CNN with our backbone, our plain twin and mmdet's."""
    from ..config.load import load_config

    def build(**backbone: Any) -> Callable[[], nn.Module]:
        cfg = load_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
        cfg.model.backbone.update(depth=depth, init_cfg=None, **backbone)
        if depth < 50:
            cfg.model.neck.in_channels = [64, 128, 256, 512]

        def make() -> nn.Module:
            with MODELS.switch_scope_and_registry('mmdet') as registry:
                return registry.build(cfg.model)

        return make

    return [
        Contestant('Faster R-CNN se_mm.SEResNet', build(type='se_mm.SEResNet'), 'Faster R-CNN mmdet.ResNet'),
        Contestant('Faster R-CNN se_mm without SE', build(type='se_mm.SEResNet', se_stages=())),
        Contestant('Faster R-CNN mmdet.ResNet', build(type='mmdet.ResNet')),
    ]


def forms(mode: str, compiled: bool) -> tuple[str, ...]:
    """The forms that a mode compares."""
    if 'training' in mode:
        return ('default',)
    return ('default', 'deployed', 'compiled') if compiled else ('default', 'deployed')


def prepare(contestant: Contestant, form: str, mode: str, device: str) -> nn.Module:
    """A contestant in one form, on a device."""
    torch.manual_seed(0)
    model = contestant.build().to(device)
    if form != 'default':
        deploy(model.backbone if mode.startswith('detector') else model, compiled=form == 'compiled')
    model.train('training' in mode)
    return model


def step(model: nn.Module, mode: str, size: tuple[int, int, int], device: str, amp: bool) -> Callable[[], None]:
    """One run of a model: a forward, or a forward and a backward."""
    forward, loss = (_detector_calls if mode.startswith('detector') else _backbone_calls)(model, mode, size, device)
    autocast = torch.autocast(torch.device(device).type, enabled=amp)

    @torch.no_grad()
    def infer() -> None:
        with autocast:
            forward()

    def train() -> None:
        with autocast:
            total = loss()
        total.backward()
        for parameter in model.parameters():
            parameter.grad = None

    return train if 'training' in mode else infer


def _backbone_calls(model: nn.Module, mode: str, size: tuple[int, int, int], device: str) -> Calls:
    batch, height, width = size
    image = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
    return lambda: model(image), lambda: sum(feature.float().mean() for feature in model(image))


def _detector_calls(model: nn.Module, mode: str, size: tuple[int, int, int], device: str) -> Calls:
    from mmdet.testing import demo_mm_inputs

    batch, height, width = size
    data = demo_mm_inputs(batch, [(3, height, width)] * batch, num_items=[8] * batch, num_classes=80)
    data = model.data_preprocessor(data, mode == 'detector-training')
    return lambda: model(**data, mode='predict'), lambda: model.parse_losses(model(**data, mode='loss'))[0]


def check_device(device: str) -> None:
    """Raises an SeMmError if the device is not there."""
    if device == 'cuda' and not torch.cuda.is_available():
        raise SeMmError('--device cuda: torch finds no GPU here; leave it out')


def measure(
    mode: str,
    depth: int,
    size: tuple[int, int, int],
    rounds: int,
    device: str = 'cpu',
    amp: bool = False,
    compiled: bool = False,
    only: str = '',
) -> list[Measured]:
    """Times every contestant in every form, round by round, so that a slow minute is everybody's.

    Args:
        mode: one of ``MODES``.
        depth: of the networks.
        size: batch, height and width.
        rounds: how many.
        device: ``'cpu'`` or ``'cuda'``.
        amp: whether under autocast.
        compiled: whether the deployed forms are also given to ``torch.compile``.
        only: a part of the names of the contestants to measure.

    Raises:
        SeMmError: if the device is not there, or no contestant has such a name.
    """
    check_device(device)
    chosen = detectors(depth) if mode.startswith('detector') else contestants(depth, 'training' in mode)
    chosen = [contestant for contestant in chosen if only in contestant.name]
    if not chosen:
        raise SeMmError(f'--only {only}: no contestant has this in its name')
    runs = []
    for contestant in tqdm(chosen, 'preparing', disable=None):
        for form in forms(mode, compiled):
            run = step(prepare(contestant, form, mode, device), mode, size, device, amp)
            run()  # the first one chooses algorithms, and compiles
            runs.append((Measured(contestant.name, form, contestant.plain), run))
    for measured, run in tqdm(runs, 'memory', disable=None):
        measured.peak = peak_bytes(run, device)
    for _ in tqdm(range(rounds), 'rounds', disable=None):
        for measured, run in runs:
            measured.seconds.append(seconds_of(run, device))
    return [measured for measured, _ in runs]


def seconds_of(run: Callable[[], Any], device: str) -> float:
    """How long one call takes, until the device is done with it."""
    gc.collect()
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: str) -> None:
    if device == 'cuda':
        torch.cuda.synchronize()


def peak_bytes(run: Callable[[], None], device: str = 'cpu') -> int:
    """The most memory of tensors that a run holds at a time, beyond what was there before it.

    Example:
        >>> 4000 <= peak_bytes(lambda: torch.ones(1000)) < 4100
        True
    """
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    held = peak = 0
    for size in _allocations(profile.profiler.kineto_results.experimental_event_tree()):
        held += size
        peak = max(peak, held)
    return peak


def _allocations(tree: list[Any]) -> Iterator[int]:
    """The sizes that the allocator gave (positive) and took back (negative), in the order of time."""
    events, found = list(tree), []
    while events:
        event = events.pop()
        events += event.children
        if event.tag.name == 'Allocation':
            found.append((event.start_time_ns, event.extra_fields.alloc_size))
    return (size for _, size in sorted(found, key=lambda pair: pair[0]))


def machine(device: str) -> str:
    """What the figures were measured on."""
    cpu = f'{platform.machine()}, {torch.get_num_threads()} threads'
    hardware = torch.cuda.get_device_name() if device == 'cuda' else cpu
    versions = {name: __import__(name).__version__ for name in ('mmengine', 'mmdet', 'mmpretrain')}
    return f'{hardware}; torch {torch.__version__}, ' + ', '.join(f'{name} {v}' for name, v in versions.items())


def table(measured: list[Measured]) -> list[str]:
    """The lines of a Markdown table; ratios are to the plain twin in the same form, and to the first line."""
    by_name = {(entry.name, entry.form): entry for entry in measured}
    first = measured[0]
    lines = [
        f'| network | form | ms | spread | of {first.name} | SE costs | peak MiB | SE costs |',
        '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ]
    for entry in measured:
        plain = by_name.get((entry.plain, entry.form))
        time_, memory = (f'{100 * ratio - 100:+.1f}%' for ratio in _costs(entry, plain)) if plain else ('', '')
        lines.append(
            f'| {entry.name} | {entry.form} | {1e3 * entry.median:.0f} | ±{100 * entry.spread:.1f}% '
            f'| {entry.median / first.median:.3f} | {time_} | {entry.peak / MIB:.1f} | {memory} |'
        )
    return lines


def _costs(entry: Measured, plain: Measured) -> tuple[float, float]:
    """Time and memory over the plain twin's; of time the median of the rounds, since a slow round slows both."""
    ratios = [a / b for a, b in zip(entry.seconds, plain.seconds, strict=True)]
    return statistics.median(ratios), entry.peak / plain.peak


def as_json(measured: list[Measured], **settings: Any) -> dict[str, Any]:
    """All of it, for a file."""
    return {**settings, 'networks': [{**asdict(entry), 'median': entry.median} for entry in measured]}
