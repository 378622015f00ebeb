_base_ = './se_resnet18_scenes_identity.py'
checkpoint = '{{$SE_MM_TINYIN100:work_dirs/tinyin100}}/se_resnet18_tinyin100/seed_{{$SE_MM_SEED:0}}/epoch_6.pth'
model = dict(backbone=dict(init_cfg=dict(checkpoint=checkpoint)))
