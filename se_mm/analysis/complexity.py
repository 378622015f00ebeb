"""Parameters and multiply-adds of networks, counted from their shapes alone.

A multiply-add (MAC) is two of the operations that ``torch.utils.flop_counter`` counts: those of
convolutions and matrix products. Pooling, norms, activations, additions and the scaling by a
gate count as nothing, as in the figures of most papers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..config.load import load_config
from ..config.loaders import LOADERS
from ..config.tree import nodes
from ..errors import SeMmError
from ..models.deploy import input_channels
from ..swap.building import shapes_only
from ..swap.hosts import scope_of
from ..utils.tables import markdown_table
from ..utils.type_names import type_name

#: What is counted, for the reader of a table.
CONVENTION = (
    'GMAC: billions of multiply-adds (half of the FLOPs that torch.utils.flop_counter counts) of convolutions and '
    'matrix products, for one picture. Pooling, norms, activations, additions and the scaling by gates are not counted.'
)
#: Of detectors where no size is given: that of mmdet's own figures, and of the papers that compare with them.
DETECTOR_SIZE = (800, 1280)
CLASSIFIER_SIZE = (224, 224)
#: What a two-stage detector looks at where its test_cfg does not say: proposals, and boxes that get a mask.
PROPOSALS, DETECTIONS = 1000, 100


class Part(NamedTuple):
    """A part of a model."""

    name: str  # as ``'backbone'``
    parameters: int
    macs: int  # multiply-adds for one picture


@dataclass
class Complexity:
    """What a config's model costs."""

    size: tuple[int, int]  # height and width of the picture
    parts: list[Part] = field(default_factory=list)  # in the order in which they run
    whole: Part | None = None  # the sum over the model; ``None`` where it cannot be counted
    notes: list[str] = field(default_factory=list)  # what the figures do not show


def parameters_of(module: nn.Module) -> int:
    """The number of parameters, of those that modules share once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, call: Callable[[], Any]) -> tuple[int, Any]:
    """The multiply-adds of a call, in evaluation, and what it returns.

    The plain forms of residual units are counted, which are the definition, not the fused ones.

    Args:
        module: what is called, with all that it calls; on the meta device nothing is computed.
        call: calls it.

    Example:
        >>> with torch.device('meta'):
        ...     layer, x = nn.Conv2d(3, 8, 3, padding=1), torch.empty(1, 3, 10, 10)
        >>> count_macs(layer, lambda: layer(x))[0] == 3 * 8 * 9 * 100
        True
    """
    was_training = module.training
    module.eval()
    # Modules that are watched by a hook are called one by one, and not in a fused form.
    handles = [part.register_forward_hook(lambda *_: None) for part in module.modules()]
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            out = call()
    finally:
        for handle in handles:
            handle.remove()
        module.train(was_training)
    return counter.get_total_flops() // 2, out


def complexity_of(cfg: Config, size: tuple[int, int] | None = None) -> Complexity:
    """What the model of a config costs for one picture.

    Args:
        cfg: of a classifier of mmpretrain or a detector of mmdet.
        size: height and width; ``None``: a classifier's test crop (else 224 x 224), 800 x 1280 for a detector.

    Raises:
        SeMmError: if the model cannot be built, or its backbone does not take this size.
    """
    classifies = scope_of(cfg) == 'mmpretrain'
    known = size or (_crop_of(cfg) if classifies else DETECTOR_SIZE)
    size = known or CLASSIFIER_SIZE
    try:
        with MODELS.switch_scope_and_registry(scope_of(cfg)) as registry, shapes_only():
            model = registry.build(cfg.model).eval()
    except SeMmError:
        raise
    except Exception as error:  # whatever a model may raise for the values of a config
        raise SeMmError(f'the model cannot be built: {error}') from error
    backbone = getattr(model, 'backbone', None)
    if backbone is None:
        raise SeMmError(f'{type(model).__name__} has no backbone to count; give the config of a classifier or detector')
    image = torch.empty(1, input_channels(backbone), *size, device='meta')
    found = Complexity(size)
    if known is None:
        found.notes.append(
            f'{size[0]}x{size[1]} is a guess, since the test pipeline names no crop; --size gives another'
        )
    try:
        macs, features = count_macs(backbone, lambda: backbone(image))
    except (RuntimeError, ValueError) as error:
        raise SeMmError(f'{type(backbone).__name__} does not take pictures of {size[0]}x{size[1]}: {error}') from error
    found.parts.append(Part('backbone', parameters_of(backbone), macs))
    if hasattr(model, 'roi_head'):
        _count_two_stages(model, features, found)
    else:
        _count_whole(model, image, 'classifier' if classifies else 'detector', found)
    deformable = sum('Deform' in type(part).__name__ and 'Conv' in type(part).__name__ for part in model.modules())
    if deformable:
        found.notes.append(f'the {deformable} deformable convolutions count as nothing')
    return found


def _count_whole(model: nn.Module, image: Tensor, name: str, found: Complexity) -> None:
    samples = None
    if name == 'detector':  # one of transformers reads the sizes of the pictures from its samples
        from mmdet.structures import DetDataSample

        sizes = dict.fromkeys(('img_shape', 'batch_input_shape', 'pad_shape', 'ori_shape'), tuple(image.shape[2:]))
        samples = [DetDataSample(metainfo=dict(sizes, scale_factor=(1.0, 1.0)))]
    try:
        macs, _ = count_macs(model, lambda: model(image, samples, mode='tensor'))
    except Exception as error:  # values decide what a detector computes, and there are none
        found.notes.append(f'the whole {name} cannot be traced without values ({_reason(error)})')
        return
    found.whole = Part(name, parameters_of(model), macs)
    rest = Part('the rest', found.whole.parameters - found.parts[0].parameters, macs - found.parts[0].macs)
    if rest.parameters or rest.macs:
        found.parts.append(rest)


def _count_two_stages(model: nn.Module, features: Any, found: Complexity) -> None:
    """The dense parts on the whole map, the others on as many boxes as the test asks for."""
    if model.with_neck:
        features = _count_part(found, 'neck', model.neck, features)
    if model.with_rpn:
        _count_part(found, 'rpn_head', model.rpn_head, features)
    roi, test_cfg = model.roi_head, model.test_cfg or {}
    boxes = {
        'bbox': (test_cfg.get('rpn') or {}).get('max_per_img') or PROPOSALS,
        'mask': (test_cfg.get('rcnn') or {}).get('max_per_img') or DETECTIONS,
    }
    for kind, number in boxes.items():
        heads = _listed(getattr(roi, f'{kind}_head', None))
        extractors = _listed(getattr(roi, f'{kind}_roi_extractor', None) or getattr(roi, 'bbox_roi_extractor', None))
        for i, head in enumerate(heads):
            extractor = extractors[min(i, len(extractors) - 1)]
            size = extractor.roi_layers[0].output_size
            inputs = torch.empty(number, extractor.out_channels, *size, device='meta')
            if getattr(roi, 'shared_head', None) is not None:
                inputs = _count_part(found, f'shared_head ({number} boxes)', roi.shared_head, inputs)
            stage = f' {i + 1}' if len(heads) > 1 else ''
            _count_part(found, f'{kind}_head{stage} ({number} boxes)', head, inputs)
    known = {'backbone', 'neck', 'rpn_head', 'roi_head'}
    known |= {'bbox_head', 'mask_head', 'bbox_roi_extractor', 'mask_roi_extractor', 'shared_head'}
    children = [*roi.named_children(), *model.named_children()]
    left = [name for name, part in children if name not in known and parameters_of(part)]
    if left:
        found.notes.append(f'not counted: {", ".join(left)}')
    if not found.notes:
        found.whole = Part('detector', parameters_of(model), sum(part.macs for part in found.parts))


def _count_part(found: Complexity, name: str, module: nn.Module, inputs: Any) -> Any:
    """Adds a part; returns its outputs."""
    try:
        macs, out = count_macs(module, lambda: module(inputs))
    except Exception as error:  # a head that needs more than maps, or values
        found.notes.append(f'not counted: {name} ({_reason(error)})')
        return inputs
    found.parts.append(Part(name, parameters_of(module), macs))
    return out


def _reason(error: Exception) -> str:
    return f'{type(error).__name__} {str(error).strip().partition(chr(10))[0]}'.strip()


def _listed(modules: nn.Module | None) -> list[nn.Module]:
    return list(modules) if isinstance(modules, nn.ModuleList) else [] if modules is None else [modules]


def _crop_of(cfg: Config) -> tuple[int, int] | None:
    """Height and width of what a classifier's test pipeline crops, or resizes to."""
    for loader in LOADERS[::-1]:
        steps: list[Mapping[str, Any]] = [node for _, node in nodes(cfg.get(loader)) if 'type' in node]
        for kind, key in (('CenterCrop', 'crop_size'), ('EfficientNetCenterCrop', 'crop_size'), ('Resize', 'scale')):
            for step in steps:
                value = step.get(key) if type_name(step) == kind else None
                if isinstance(value, int):
                    return value, value
                if value:
                    return value[1], value[0]  # both transforms take (width, height)
    return None


def complexity_table(names: Sequence[str], size: Sequence[int] | None = None) -> tuple[str, list[str]]:
    """The parts of the models of some configs, in Markdown, and why others could not be counted.

    Args:
        names: as :func:`se_mm.config.load.load_config` takes them.
        size: as :func:`complexity_of` takes it.
    """
    rows, notes, failed = [], [], []
    for name in names:
        try:
            found = complexity_of(load_config(name, data_root=''), tuple(size) if size else None)
        except SeMmError as error:
            failed.append(str(error) if name in str(error) else f'{name}: {error}')
            continue
        height, width = found.size
        parts = [*found.parts, *([found.whole] if found.whole else [])]
        for i, (part, parameters, macs) in enumerate(parts):
            first = ['', ''] if i else [name, f'{height}x{width}']
            what = f'**{part}**' if parts[i] is found.whole else part
            rows.append([*first, what, f'{parameters:,}', f'{macs / 1e9:.4f}'])
        notes += [f'- {name}: {line}' for line in found.notes]
    table = markdown_table(['config', 'input', 'part', 'parameters', 'GMAC'], rows)
    text = '\n'.join([CONVENTION, '', *table, *(['', *notes] if notes else [])])
    return text if rows else '', failed
