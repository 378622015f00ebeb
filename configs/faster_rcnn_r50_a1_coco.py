# timm's weights of one recipe (A1 of "ResNet strikes back", 600 epochs at 224) for both of the pair, where the plain
# classifier is the better one: 80.38 to 80.01 top-1.
_base_ = './faster_rcnn_r50_coco.py'
model = dict(backbone=dict(init_cfg=dict(checkpoint='timm://resnet50.a1_in1k')))
