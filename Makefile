# Every target makes .venv if it is missing. `make demo` needs nothing installed but Python >= 3.11.
PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python
PIP_INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo demo-seg models test prove lint bench clean

# The C library of Linux then takes memory in pages of 2 MB, which makes a CPU train a quarter faster.
demo demo-seg models: export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

demo: $(VENV)/.runtime  ## phantom data, training, evaluation, a page: about ten minutes on two cores
	$(PY) -m tools.build_dataset phantom --config=demo --data_dir=data
	$(PY) -m big_rad.train --config=configs/demo.py --data_dir=data --workdir=runs/demo

demo-seg: $(VENV)/.runtime  ## the same with masks instead of boxes: about a quarter of an hour
	$(PY) -m tools.build_dataset phantom --config=demo --data_dir=data
	$(PY) -m big_rad.train --config=configs/demo.py:ground=masks --data_dir=data --workdir=runs/demo-seg

models: demo demo-seg  ## the two small models of notebooks/, made again from the two demos
	$(PY) -m tools.calibrate --checkpoint=runs/demo --data_dir=data
	$(PY) -m tools.calibrate --checkpoint=runs/demo-seg --data_dir=data
	$(PY) -m big_rad.evaluate --checkpoint=runs/demo --data_dir=data --controls
	$(PY) -m big_rad.evaluate --checkpoint=runs/demo-seg --data_dir=data --controls
	rm -rf notebooks/models
	$(PY) -m tools.export runs/demo notebooks/models/demo --dtype=bfloat16
	$(PY) -m tools.export runs/demo-seg notebooks/models/demo_masks --dtype=bfloat16

test: $(VENV)/.dev  ## the whole test suite
	$(PY) -m pytest -n auto --dist=loadfile --no-loadscope-reorder

prove: $(VENV)/.dev  ## the promises of docs/operations.md, queue and resuming, at length: hours, not for CI
	BIG_RAD_KILLS=40 BIG_RAD_PREDICT_KILLS=20 BIG_RAD_GENERATIONS=10000 BIG_RAD_REQUESTS=500 \
	  BIG_RAD_TURN_STEP=1 BIG_RAD_LOSS_STEPS=200 BIG_RAD_BATCHES=1000 \
	  BIG_RAD_ENGINE_KILLS=20 BIG_RAD_STUDIES=50 BIG_RAD_ENGINE_PATIENTS=1000 \
	  $(PY) -m pytest -s --timeout=0 tests/promises tests/inference/test_queue_soak.py \
	  tests/test_predict_series.py tests/training/test_loss_curves.py \
	  tests/test_input_determinism.py tests/annotate/test_training.py

lint: $(VENV)/.dev  ## style, format, and that imports run downwards only
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/.dev  ## speed on this machine, as ratios against transformers in the same run
	$(PY) -m tools.bench train --peer=hf
	$(PY) -m tools.bench decode --peer=hf

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Editable, so that Python finds big_rad from any folder and a change here counts at once.
$(VENV)/.runtime: pyproject.toml requirements.txt requirements/infer.txt constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[train]'
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP_INSTALL) -r requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) runs data
