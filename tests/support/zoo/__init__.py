"""The sweep over every config that mmdet and mmpretrain ship: ``make zoo``."""
