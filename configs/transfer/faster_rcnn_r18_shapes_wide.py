# The drawn shapes with the whole width of ResNet-18, which its weights need.
_base_ = '../demo/faster_rcnn_r18_shapes.py'
model = dict(backbone=dict(base_channels=64), neck=dict(in_channels=[64, 128, 256, 512]))
