# The paper's pair: Places365-Challenge, 8 million pictures, from scratch. The number of epochs is a choice, as in the
# base: it gives about as many iterations as 90 epochs of the 1.8 million.
_base_ = './resnet152_places365.py'
train_dataloader = dict(dataset=dict(split='train-challenge'))
train_cfg = dict(max_epochs=20)
param_scheduler = dict(milestones=[7, 14])
