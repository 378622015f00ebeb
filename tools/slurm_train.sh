#!/usr/bin/env bash
#SBATCH --job-name=se_mm
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=6
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
# One process for each GPU, on as many machines as asked for:
#   sbatch --nodes 2 tools/slurm_train.sh configs/faster_rcnn_se_r50_coco.py --work-dir work_dirs/se_r50
# Options of sbatch stand before the script, those of tools/train.py after the config. Two minutes before the time is
# up, or when the machine is taken back, a checkpoint is saved; the job goes back into the queue and resumes from it.
set -uo pipefail

if [ $# -eq 0 ]; then
    echo "usage: sbatch [--nodes N] tools/slurm_train.sh CONFIG [options of tools/train.py]" >&2
    exit 2
fi
PREEMPTED=75 # the status of a training that has saved a checkpoint on SIGTERM

export MASTER_ADDR=${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}
export MASTER_PORT=${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 20000))}

# sbatch runs a copy of this script; the tools are where it was submitted from.
srun --kill-on-bad-exit=1 "${PYTHON:-python}" "${SLURM_SUBMIT_DIR:-.}/tools/train.py" "$@" --launcher slurm --resume auto
status=$?
if [ "$status" -eq "$PREEMPTED" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
