# Makes the stack ready before a model is built; needed where another tool than ours runs these configs.
custom_imports = dict(imports=['se_mm'], allow_failed_imports=False)
