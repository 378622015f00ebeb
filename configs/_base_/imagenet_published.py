# What a published classifier is tested on where no config is named: the validation set of ImageNet, or of a subset, in
# folders that are named by WordNet ids. The model and its pixels come with the name.
_base_ = './imagenet.py'

train_dataloader = None
val_dataloader = None
val_evaluator = None
val_cfg = None
test_dataloader = dict(dataset=dict(type='se_mm.WordNetFolders'))
