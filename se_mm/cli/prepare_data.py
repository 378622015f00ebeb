"""Prepare a data set: boxes in any usual format, folders of scenes, COCO, Places365, ImageNet."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SHOWN = 20
OWN = ('detection', 'scenes')
FORMATS = ('coco', 'voc', 'yolo', 'csv')

EXAMPLES = """\
  %(prog)s detection DIR         # VOC XML, YOLO text, CSV or COCO JSON become COCO JSON in DIR/annotations
  %(prog)s scenes DIR --val 0.1  # DIR/<class>/*.jpg, or DIR/train/<class>/*.jpg
  %(prog)s coco data/coco --download
  %(prog)s imagenet DIR          # with ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and the devkit in it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('data', choices=[*OWN, 'places365', 'coco', 'imagenet'])
    parser.add_argument('root', type=Path, help='where it is, or is to go')
    own = parser.add_argument_group('detection and scenes')
    own.add_argument('--val', type=float, default=0.2, help='share set aside where there is no split (default: 0.2)')
    own.add_argument('--seed', type=int, default=0, help='of that choice (default: 0)')
    own.add_argument('--format', choices=FORMATS, help='of detection, where there are several (default: the first)')
    own.add_argument('--names', nargs='+', metavar='NAME', help='of the classes of YOLO text that does not name them')
    own.add_argument('--force', action='store_true', help='make anew what was prepared before')
    own.add_argument(
        '--skip-missing', action='store_true', help='write what can be used, however much is missing or broken'
    )
    own.add_argument('--rescale', action='store_true', help='scale boxes of pictures that were resized since')
    known = parser.add_argument_group('places365, coco and imagenet')
    known.add_argument(
        '--parts', nargs='+', metavar='PART', help='such as train-challenge, test (default: train and val)'
    )
    doing = known.add_mutually_exclusive_group()
    doing.add_argument(
        '--download', action='store_true', help='fetch and unpack what is missing; goes on where it was cut'
    )
    doing.add_argument('--check', action='store_true', help='read the header of every picture')


def run(args: argparse.Namespace) -> None:
    if args.data in OWN:
        _prepare_own(args)
        return
    if args.data == 'imagenet':
        _prepare_imagenet(args)
        return
    from ..datasets.prepare import sources

    parts = args.parts or sources.USUAL_PARTS[args.data]
    if args.download:
        sources.fetch(args.data, args.root, parts)
    lines, complete = sources.report(args.data, args.root, parts)
    if not args.check:
        print('\n'.join(lines))
        sys.exit(0 if complete else 1)
    count, broken = sources.broken_images(args.data, args.root, parts)
    print('\n'.join(broken[:SHOWN]))
    print(
        f'{count} pictures looked at, {len(broken)} missing or broken'
        + (f' ({SHOWN} shown)' if len(broken) > SHOWN else '')
    )
    sys.exit(1 if broken else 0)


def _prepare_imagenet(args: argparse.Namespace) -> None:
    from ..datasets.prepare.imagenet import COUNTS, prepare_imagenet
    from ..errors import SeMmError

    if args.download or args.check or (unknown := set(args.parts or ()) - COUNTS.keys()):
        wrong = '--download and --check' if args.download or args.check else f'--parts {" ".join(sorted(unknown))}'
        raise SeMmError(f'{wrong}: imagenet is made of archives in DIR, and its parts are {", ".join(COUNTS)}')
    print('\n'.join(prepare_imagenet(args.root, {part: COUNTS[part] for part in args.parts or COUNTS})))


def _prepare_own(args: argparse.Namespace) -> None:
    from ..errors import SeMmError

    if args.parts or args.download or args.check:
        raise SeMmError(f'--parts, --download and --check are for places365 and coco; {args.data} is a folder of yours')
    try:
        if args.data == 'detection':
            from ..datasets.prepare.detection import prepare_detection

            lines = prepare_detection(
                args.root,
                args.val,
                args.seed,
                args.format,
                names=args.names,
                force=args.force,
                skip_missing=args.skip_missing,
                rescale=args.rescale,
            )
        else:
            from ..datasets.prepare.scenes import prepare_scenes

            if args.format or args.names or args.rescale:
                raise SeMmError('--format, --names and --rescale are for detection; scenes are folders of classes')
            lines = prepare_scenes(args.root, args.val, args.seed, force=args.force, skip_missing=args.skip_missing)
    except UnicodeDecodeError as error:
        raise SeMmError(f'{args.root}: a text file is not UTF-8 ({error}); save it as UTF-8') from error
    except OSError as error:
        raise SeMmError(f'{args.root} cannot be read or written to: {error}') from error
    print('\n'.join(lines))
