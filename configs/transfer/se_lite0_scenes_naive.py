# SE with random gates, as people add it by hand.
_base_ = './se_lite0_scenes.py'
model = dict(backbone=dict(se_init='random'))
