"""tools/check_env.py: what is installed, and which weights can be had."""

from __future__ import annotations

from support.commands import output, tool


def test_check_env_names_the_stack_and_the_kernels():
    said = output(tool('check_env', fresh=True))
    assert 'se_mm.models.registered: ok' in said
    assert 'mmcv.ops ' in said


def test_check_env_says_whether_the_weights_of_a_config_can_be_had(tmp_path):
    """Without a network or with one, the line names the file, its URL or its place in the cache."""
    done = tool('check_env', '--weights', 'configs/faster_rcnn_se_r50_coco.py', TORCH_HOME=str(tmp_path))
    assert 'model.backbone.init_cfg = timm://legacy_seresnet50.in1k: not cached' in done.stdout
    assert 'v0.1-cadene/se_resnet50-ce0d4300.pth' in done.stdout
    assert done.returncode in (0, 1)
