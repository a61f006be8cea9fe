# `make demo` and `make test` set up what they need in .venv; the second time that is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
SEED ?=
# `make demo ENV=docker` runs the cells in a container.
ENV ?=
# RLM_SETUP=1 lets `make test` install what is no Python package: Chromium and a Docker engine.
RLM_SETUP ?=
# Where it is set, each of some thousand processes of the tests would compile us anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo eval test bench chaos fuzz smoke typed-answers lint clean

$(STAMP): pyproject.toml .constraints.txt $(wildcard kernelspec/* rlm_kernel/labextension/*.json rlm_kernel/labextension/static/* rlm_kernel/server/*.json)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c .constraints.txt -e ".[local,docker,modal,diff,batch,mcp,otel]" --group dev
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/rlm demo --yes $(if $(SEED),--seed $(SEED)) $(if $(ENV),--env $(ENV))

# Ten tasks by the embedded LM, ended after 15 minutes; again, it goes on with what is left.
eval: $(STAMP)
	$(BIN)/rlm local fetch --yes
	$(BIN)/rlm eval --short --total-seconds 870 -o rlm-eval-$(or $(SEED),0) --first-seed $(or $(SEED),0)

# Three workers on two cores, since many tests wait; each has whole files, whose tests share kernels.
# The files stay in their order, in which most slow folders come first.
test: $(STAMP)
	$(if $(filter 1,$(RLM_SETUP)),$(BIN)/python -m tests.setup)
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder --max-worker-restart 0

bench: $(STAMP)
	$(BIN)/python -m tests.bench

# Runs that are struck by faults: COUNT of them, in the environment ENV, by SEED. Needs root.
chaos: $(STAMP)
	$(BIN)/python -m tests.faults --chaos $(or $(COUNT),24) $(or $(ENV),local) $(SEED)

# 200 odd messages and 200 odd requests to live kernels; `make fuzz ENV=docker SEED=2` sends others.
fuzz: $(STAMP)
	$(BIN)/python -m tests.faults --messages 200 $(or $(ENV),local) $(or $(SEED),1)

# Installs this checkout for each supported Python on the PATH, or for those in PYTHONS.
smoke: $(STAMP)
	$(BIN)/python -m tests.smoke $(PYTHONS)

# COUNT scripted runs whose answers must be of a form, wrong ones among them.
typed-answers: $(STAMP)
	TYPED_ANSWERS=$(or $(COUNT),1000) $(BIN)/python -m pytest -q -n 0 --timeout 300 tests/rlm/test_typed_answers.py -k no_wrong_type

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV)
