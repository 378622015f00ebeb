# The plain twin of faster_rcnn_se_r50_coco.py, whose weights are the authors' own: also from Caffe, with the stride in
# the first 1x1 convolution. The authors published no plain ResNet-50; this one is MSRA's, with its own pixel values.
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco.py', './_base_/se_mm.py']
# mmdet freezes the scales and shifts of Caffe's norms; the twin trains them.
model = dict(backbone=dict(norm_cfg=dict(requires_grad=True)))
