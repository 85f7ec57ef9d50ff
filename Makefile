# Every target does all its own set-up from requirements.lock; a second time it is skipped.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# `make demo PYTHON=...` makes .venv anew when it is another Python's.
ifneq ($(origin PYTHON),file)
PYTHON_CHOSEN := yes
.venv/.locked: anew
anew:
.PHONY: anew
endif

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

venv: .venv/.locked  ## Make .venv from requirements.lock

.venv/.locked: requirements.lock pyproject.toml scripts/bootstrap
	@PYTHON="$(PYTHON)" PYTHON_CHOSEN=$(PYTHON_CHOSEN) scripts/bootstrap

demo: .venv/.locked  ## Iris from an empty folder to a prediction over HTTP, on this machine
	@$(BIN)/python scripts/demo.py

test: .venv/.locked  ## All tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

lint: .venv/.locked  ## ruff, mypy, shell and YAML linters, and our own checks
	@scripts/lint

bench: .venv/.locked  ## Measure start, render, check, run overhead, transitions and requests per second
	@$(BIN)/python scripts/bench.py

bench-serving: .venv/.locked  ## Measure the serving stack against the original's (needs nginx and wrk)
	@$(BIN)/python scripts/bench_serving.py

gate-figures: .venv/.locked  ## Compute what the gate can tell, into docs/explanation/gate.md
	@$(BIN)/python scripts/gate_figures.py

bench-build: .venv/.locked  ## Measure building and pushing iris against the usual Dockerfile (Debian, as root)
	@$(BIN)/python scripts/bench_build.py

bench-scale: .venv/.locked  ## Measure a transform in Spark, pandas, Polars and DuckDB over growing data
	@$(BIN)/python scripts/bench_scale.py

bench-gitops: .venv/.locked  ## Measure git push to the first line, to the plan, to serving, through the local remote
	@$(BIN)/python scripts/bench_gitops.py

drift-figures: .venv/.locked  ## Compute false alarms and power of the comparison of requests, into its page
	@$(BIN)/python scripts/drift_figures.py

big-mart-figures: .venv/.locked  ## Measure good and bad models of sales on held-out rows (XGBoost)
	@$(BIN)/python scripts/big_mart_figures.py

mnist-figures: .venv/.locked  ## Measure good and bad models of digits on held-out images (TensorFlow)
	@$(BIN)/python scripts/mnist_figures.py

pipelines-table: .venv/.locked  ## The page of the pipelines side by side, and their graphs; MEASURE="iris mnist" runs these
	@$(BIN)/python scripts/pipelines_table.py $(MEASURE)

mask-rcnn-figures: .venv/.locked  ## Measure good and bad models of objects on held-out images (PyTorch)
	@$(BIN)/python scripts/mask_rcnn_figures.py

recommender-figures: .venv/.locked  ## Measure good and bad recommenders on held-out ratings (Spark, TensorFlow)
	@$(BIN)/python scripts/recommender_figures.py

lock: .venv/.locked  ## Resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra dev --no-emit-index-url \
	  --custom-compile-command "make lock" -o requirements.lock pyproject.toml

docs: .venv/.locked  ## Generate the reference pages
	@$(BIN)/python scripts/reference.py

clean:  ## Stop the local target and remove what this repository made
	@if [ -x $(BIN)/pipeline ]; then $(BIN)/pipeline local down; fi
	@rm -rf .venv .pipeline build

.PHONY: help venv demo test lint bench bench-gitops bench-serving bench-build bench-scale gate-figures drift-figures big-mart-figures mask-rcnn-figures mnist-figures pipelines-table recommender-figures lock docs clean
