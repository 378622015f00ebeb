"""The arguments that several tools share, under the same words."""

from __future__ import annotations

import argparse
import io
import os
from contextlib import redirect_stdout
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # mmengine takes seconds to import, and --help does not need it
    from mmengine.config import Config

CONFIG_HELP = 'a config file, or package::path of one that a package ships (mmdet::, mmpretrain::, se_mm::)'
#: Set in the environment: as ``--verbose``.
VERBOSE_VARIABLE = 'SE_MM_VERBOSE'
ATTENTION_HELP = (
    'another layer than SE: eca, cbam, coord, gc, context, ese, fca, ge, simam; as eca,k_size=[3,5,5,7]; in a neck: '
    'eca@neck, se@backbone+neck'
)
REPLACE_HELP = 'put it in the place of attention that the network has by itself, as in RTMDet and MobileNetV3'


class OptionAction(argparse.Action):
    """mmengine's ``DictAction``, which is imported when the option is used."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option)


class _Verbose(argparse.Action):
    def __call__(self, *_: Any) -> None:
        os.environ[VERBOSE_VARIABLE] = '1'  # read when the process is set up, and by the processes of a launcher


def is_verbose() -> bool:
    """Whether the whole log is printed, and no progress line."""
    return os.environ.get(VERBOSE_VARIABLE, '') not in ('', '0')


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """What is laid over a config (:func:`config_of`), and the launcher."""
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/<config>)')
    add_data_arguments(parser)
    _add_loading_arguments(parser)
    parser.add_argument(
        '--log',
        nargs='+',
        default=[],
        choices=['tensorboard', 'wandb', 'mlflow'],
        help="also record metrics, curves and sheets there (pip install '.[tensorboard]' and so on)",
    )
    parser.add_argument('--verbose', action=_Verbose, nargs=0, help='print the whole log (also: SE_MM_VERBOSE=1)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_data_arguments(parser: argparse.ArgumentParser, classes: bool = True) -> None:
    """What fits a config to data of one's own; a tool with another use for ``--classes`` takes the checkpoint's."""
    parser.add_argument(
        '--data-root',
        metavar='DIR',
        help='the folder of the data; what the config names and it does not have is looked for (also: SE_MM_DATA)',
    )
    if classes:
        parser.add_argument(
            '--classes',
            nargs='*',
            metavar='NAME',
            help="replaces the config's classes, in data sets, heads and metrics; without names: those in the data",
        )
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='resize pictures to another size')
    parser.add_argument('--se', action='store_true', help="use the SE twin of the config's backbone (see se-mm swap)")
    parser.add_argument('--attention', metavar='LAYER', help=f'as --se, with {ATTENTION_HELP}')
    parser.add_argument('--replace-native', action='store_true', help=REPLACE_HELP)
    parser.add_argument('--keep-weights', action='store_true', help='with --se: start from the plain weights')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        metavar='KEY=VALUE',
        help='override the config by dotted keys, as optim_wrapper.optimizer.lr=0.01',
    )


def _add_loading_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--batch-size', type=int, metavar='N', help='pictures a batch and process')
    parser.add_argument('--workers', type=int, metavar='N', help='processes that load data (0: none beside this one)')


def add_model_argument(parser: argparse.ArgumentParser, more: str = '') -> None:
    """A trained model (:func:`model_named`), and what ``more`` words follow it."""
    parser.add_argument(
        'model',
        nargs='+',
        metavar='MODEL',
        help='CHECKPOINT that a training wrote, its URL, or the folder of the training; a published classifier '
        '(timm://NAME, mmcls://NAME); or CONFIG CHECKPOINT, to take '
        f'the data, and what --prefer says, from {CONFIG_HELP}{more}',
    )
    parser.add_argument(
        '--prefer',
        choices=['checkpoint', 'config'],
        default='checkpoint',
        help='whose network, normalisation and size of pictures are used where a config differs (default: checkpoint)',
    )


def model_named(args: argparse.Namespace, rest: bool = False) -> list[str]:
    """Sets ``args.config`` (or ``None``) and ``args.checkpoint`` (a file or a published name) from a model's words.

    Returns:
        The words after them.

    Raises:
        SeMmError: if there is no such model, or there are such words and ``rest`` is not set.
    """
    from ..config.model_argument import named
    from ..config.pretrained import local_model
    from ..errors import SeMmError

    args.config, checkpoint, words = named(args.model)
    if words and not rest:
        raise SeMmError(f'{words[0]} is one word too many after {" ".join(args.model[: -len(words)])}')
    args.checkpoint = local_model(checkpoint)
    return words


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """The config, the checkpoint, the data that it is analysed on, and what studies with the metric share."""
    add_model_argument(parser)
    add_data_arguments(parser, classes=False)
    _add_loading_arguments(parser)
    # The classes are those of the checkpoint, and one process does it all.
    parser.set_defaults(classes=None, launcher='none')
    parser.add_argument('--metric', metavar='NAME', help='that is compared (default: mAP, or top-1)')
    parser.add_argument(
        '--calibration', type=int, default=256, metavar='N', help='training pictures for the mean gates (256)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the choice of pictures and channels (0)')


def config_of(args: argparse.Namespace, checkpoint: str | None = None) -> Config:
    """The config with the command line laid over it.

    Args:
        args: of :func:`add_config_arguments` or :func:`add_data_arguments`.
        checkpoint: a trained model: its config where ``args.config`` is ``None``; its classes where none are named, and
            the rest of what decides on its results, as ``args.prefer`` says. A published classifier takes the place of
            the config's model and of its pixels.

    Raises:
        SeMmError: as :func:`se_mm.datasets.own_data.config_with_data`, and for values that do not fit.
    """
    from ..config.batches import set_loading, set_size
    from ..config.classifiers import use_published
    from ..config.options import refuse_twice
    from ..config.pretrained import start_random
    from ..config.schedule import set_length
    from ..datasets.own_data import config_with_data, pictures_in
    from ..errors import SeMmError
    from ..utils.console import say
    from ..weights.published import is_published

    with redirect_stdout(io.StringIO()):  # mmdet prints what it was installed without
        import mmdet.datasets  # noqa: F401

    given = {name: getattr(args, name, None) for name in ('epochs', 'iters', 'batch_size', 'workers')}
    refuse_twice(args.cfg_options or {}, given)
    cfg = config_with_data(
        args.config or checkpoint,
        args.cfg_options,
        args.data_root if hasattr(args, 'launcher') else args.data_root or '',  # infer reads no data set
        args.classes,
    )
    changed = start_random(cfg) if getattr(args, 'no_pretrained', False) else []  # before a twin chooses its weights
    if args.se or args.attention:
        if is_published(checkpoint):
            raise SeMmError(f'--se and --attention change the network of a config, and {checkpoint} is whole')
        cfg = _with_attention(cfg, args)
    card = None
    if is_published(checkpoint):
        card = use_published(cfg, checkpoint, getattr(args, 'test_size', False))
    elif checkpoint and args.prefer == 'checkpoint':
        changed += _as_trained(cfg, args, checkpoint)
    changed += set_loading(cfg, given['batch_size'], given['workers'])
    changed += set_length(cfg, given['epochs'], given['iters'], pictures_in)
    if args.size is not None:
        changed += set_size(cfg, *args.size)
        if card:
            cfg.published = str(replace(card, size=min(args.size)))
    if hasattr(args, 'local_rank'):  # of a command that trains or tests
        cfg.launcher = args.launcher
        cfg.work_dir = args.work_dir or cfg.work_dir
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))  # some launchers pass it as an argument
    for line in changed:
        say(line)
    return cfg


def _as_trained(cfg: Config, args: argparse.Namespace, checkpoint: str) -> list[str]:
    """Puts what decides on the results of a trained model into a config; what the user should know."""
    from ..config.classes import use_classes_of
    from ..config.model_argument import use_trained

    changed = use_classes_of(cfg, checkpoint, args.classes is not None)
    if args.config and (of_training := use_trained(cfg, checkpoint)):
        changed += of_training
        cfg.merge_from_dict(args.cfg_options or {})
    return changed


def _with_attention(cfg: Config, args: argparse.Namespace) -> Config:
    from ..config.load import has_default_work_dir
    from ..errors import SeMmError
    from ..models.hosts.attention_names import attention_named, parts_named
    from ..swap import swap_backbone

    named, parts = parts_named(args.attention or '')
    layer = attention_named(named) if named else None
    if has_default_work_dir(cfg):
        cfg.work_dir += f'_{args.attention.partition(",")[0].lower() if args.attention else "se"}'
    weights = 'none' if getattr(args, 'no_pretrained', False) else 'keep' if args.keep_weights else None
    twin = swap_backbone(cfg, weights=weights, attention=layer, parts=parts, replace_native=args.replace_native)
    if twin.model == cfg.model:
        flag = f'--attention {args.attention}' if args.attention else '--se'
        raise SeMmError(f'{flag} changes nothing: the networks of {args.config} have attention already; leave it out')
    return twin
