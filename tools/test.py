#!/usr/bin/env python
"""Evaluate a trained model: tools/test.py CONFIG CHECKPOINT"""

import argparse

from se_mm import cli, preflight, runtime
from se_mm.config import load_config
from se_mm.results import add_outputs
from se_mm.training import switches


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='a checkpoint that tools/train.py wrote')
    parser.add_argument('--out', metavar='FILE', help='keep the predictions: .pkl for all of them, .json in COCO form')
    parser.add_argument('--sheet', metavar='PNG', help='one picture of predictions beside the ground truth')
    parser.add_argument('--confusion', metavar='PNG', help="a classifier's confusion matrix and its 20 worst pairs")
    parser.add_argument(
        '--tta', action='store_true', help="the config's test-time augmentation (ten crops on Places365)"
    )
    parser.add_argument('--deploy', action='store_true', help='fold the norms of the SE backbone first')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cli.set_local_rank(args)
    cfg = load_config(args.config, args.cfg_options, args.data_root, args.classes, args.se)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.work_dir
    cfg.load_from, cfg.resume = None, False
    cli.existing_file(args.checkpoint, 'checkpoint')
    runtime.join_processes(cfg)
    preflight.check(cfg, ('test',))
    add_outputs(cfg, args.out, args.sheet, args.confusion)
    if args.tta:
        runtime.use_test_time_augmentation(cfg)
    runner = runtime.build_runner(cfg, switches.guard_data)
    runtime.load_weights(runner, args.checkpoint)
    if args.deploy:
        runtime.deploy(runner.model)
    runtime.test(runner)


if __name__ == '__main__':
    cli.run(main)
