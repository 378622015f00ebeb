"""The processes of a launcher."""

from __future__ import annotations

import datetime
import os

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.utils.dl_utils import set_multi_processing

from ..errors import SeMmError


def join_processes(cfg: Config) -> None:
    """Connects the processes of a launcher, before anything is read, so that they can agree.

    mmengine's Runner uses the group that it finds. Where there is no GPU the processes talk
    over gloo; mmengine's own set-up assumes CUDA.

    Raises:
        SeMmError: if the launcher has not set what it should.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' and 'TORCHELASTIC_RUN_ID' in os.environ and os.environ.get('WORLD_SIZE', '1') != '1':
        raise SeMmError(
            f'torchrun started {os.environ["WORLD_SIZE"]} processes, which would each train alone in the same '
            'work_dir; add --launcher pytorch'
        )
    if launcher == 'none' or is_distributed():
        return
    env_cfg = cfg.get('env_cfg') or {}
    set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
    options = dict(env_cfg.get('dist_cfg') or {})
    try:
        if torch.cuda.is_available():
            init_dist(launcher, **options)
        else:
            if launcher == 'slurm':
                os.environ.update(RANK=os.environ['SLURM_PROCID'], WORLD_SIZE=os.environ['SLURM_NTASKS'])
                os.environ['LOCAL_RANK'] = os.environ.get('SLURM_LOCALID', '0')
            seconds = options.get('timeout')
            timeout = datetime.timedelta(seconds=seconds) if seconds else None
            torch.distributed.init_process_group('gloo', timeout=timeout)
    except (KeyError, ValueError) as error:
        started_by = {'pytorch': 'torchrun', 'slurm': 'tools/slurm_train.sh', 'mpi': 'mpirun'}[launcher]
        raise SeMmError(f'--launcher {launcher}, but {error} is missing: start it with {started_by}') from error
