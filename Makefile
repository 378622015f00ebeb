# make demo, make test, make lint: each makes the environment it needs, once.
# STACK=onedl (default) or openmmlab chooses the distribution of mmengine, mmcv, mmdet and mmpretrain.

STACK ?= onedl
PYTHON ?= python3
# Processes of the tests.
JOBS ?= 2
CONSTRAINTS := constraints/$(STACK).txt
VENV := .venv$(if $(filter-out onedl,$(STACK)),-$(STACK))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := work_dirs/faster_rcnn_se_r18_shapes/last
DEMO_CONFIG := configs/demo/faster_rcnn_se_r18_shapes.py
COMPILED := .venv-mmcv-compiled

.PHONY: demo test lint docs test-ops zoo soak gpu env clean
.DELETE_ON_ERROR:

env: $(READY)

# mmcv comes before torch, so that its build cannot see torch and compiles nothing, and past pip's
# cache, which may hold a compiled wheel under the same name. OpenCV's two builds write into the
# same folder: the one without a window system, which needs no libGL, has the last word.
$(READY): $(CONSTRAINTS) setup.py
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(if $(filter onedl,$(STACK)),env -u PIP_NO_BUILD_ISOLATION $(BIN)/pip install --no-cache-dir --no-deps --no-binary onedl-mmcv -c $(CONSTRAINTS) onedl-mmcv)
	$(BIN)/pip install -c $(CONSTRAINTS) torch torchvision
	$(BIN)/pip install -c $(CONSTRAINTS) -e '.[$(STACK),dev,export]'
	$(BIN)/pip uninstall -q -y opencv-python opencv-python-headless
	$(BIN)/pip install -q --no-deps -c $(CONSTRAINTS) opencv-python-headless
	$(BIN)/python tools/check_env.py
	touch $@

demo: $(READY)
	$(BIN)/python tools/draw_shapes.py data/shapes
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --seed 0
	$(BIN)/python tools/test.py $$(cat $(DEMO)/last_checkpoint) --sheet $(DEMO)/predictions.png
	@echo
	@echo "checkpoint   $$(cat $(DEMO)/last_checkpoint)"
	@echo "curves       $(CURDIR)/$(DEMO)/curves.png"
	@echo "predictions  $(CURDIR)/$(DEMO)/predictions.png (ground truth on the left)"

# A file's tests share what they trained: loadfile. In alphabetical order, since the files with few tests are the slow ones.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -n $(JOBS) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q se_mm

# The site, in build/site.
docs: $(READY)
	$(BIN)/pip install -q 'mkdocs-material' 'mkdocstrings[python]'
	$(BIN)/mkdocs build --strict

# mmcv asks for C++17, and torch >= 2.14 for C++20: hence the edit.
$(COMPILED)/mmcv/_ext.stamp: $(READY)
	rm -rf $(COMPILED)
	mkdir -p $(COMPILED)
	$(BIN)/pip install -q -c $(CONSTRAINTS) ninja wheel setuptools
	$(BIN)/pip download -q --no-deps --no-binary onedl-mmcv --no-build-isolation -d $(COMPILED) -c $(CONSTRAINTS) onedl-mmcv
	cd $(COMPILED) && tar xzf onedl*mmcv-*.tar.gz && sed -i 's/-std=c++17/-std=c++20/' onedl*mmcv-*/setup.py
	PATH="$(CURDIR)/$(BIN):$$PATH" MAX_JOBS=2 $(BIN)/pip install --no-cache-dir --no-build-isolation --no-deps --target $(COMPILED) $(COMPILED)/onedl*mmcv-*/
	touch $@

test-ops: $(COMPILED)/mmcv/_ext.stamp
	SE_MM_COMPILED_MMCV=$(COMPILED) $(BIN)/python -m pytest tests/compat

# The SE twin of every config that mmdet and mmpretrain ship; writes docs/zoo.md.
# ATTENTION=eca: another layer, in a fixed sample of 60 configs and 10 model types.
zoo: $(READY)
	cd tests && ../$(BIN)/python -m support.zoo $(ATTENTION)

# Faults in trainings that take minutes; writes docs/reliability.md.
soak: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m 'fault or soak' -n $(JOBS) --dist loadfile --reliability docs/reliability.md

# What docs/performance.md calls unmeasured, for whoever has a GPU; at most five minutes; writes docs/gpu.md.
gpu: $(READY)
	cd tests && ../$(BIN)/python -m support.gpu ../docs/gpu.md

clean:
	rm -rf .venv .venv-* work_dirs data/shapes build *.egg-info
