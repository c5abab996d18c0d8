PYTHON ?= python3
FIRM ?= firm
TORCH ?= torch==2.13.0
RUN := runs/firm-$(shell date +%Y%m%d-%H%M%S)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
EXACT := $(PIP) --constraint constraints.txt

.PHONY: run test thorough nightly cluster docs bench peers results clean

# The departments of FIRM learn, and are compared with the rules; `firm` also with departments that learn as silos.
run: $(VENV)/installed
ifeq ($(FIRM),firm)
	$(BIN)/firmwide train firm --scheme siloed --budget 25s --run $(RUN)/siloed > /dev/null
	$(BIN)/firmwide train firm --scheme mtma --budget 85s --run $(RUN)/mtma --beside $(RUN)/siloed $(ARGS)
else
	$(BIN)/firmwide train $(FIRM) $(ARGS)
endif

test: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto -m 'not cluster and not thorough' $(ARGS)

# The tests that take half a minute or more each: faults, sanitizers, a hundred products, notebooks, every panel.
thorough: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses auto -m 'thorough and not cluster' $(ARGS)

# Ten times as many random firms as the tests try.
nightly: $(VENV)/installed-dev
	FIRMWIDE_EXAMPLES=10 $(BIN)/python -m pytest --numprocesses auto -k random $(ARGS)

# The shipped cluster.yaml on machines made of namespaces; see docs/cluster.md.
cluster: $(VENV)/installed-dev
	$(BIN)/python -m tests.cluster $(ARGS)

# The site of docs/, into site/.
docs: $(VENV)/installed-dev
	$(BIN)/mkdocs build

bench: $(VENV)/installed
	$(BIN)/python benchmarks/speed.py $(ARGS)

# Ours beside stable-baselines3, RLlib, JAX and stockpyl; see docs/peers.md.
peers: $(VENV)/installed-peers
	$(BIN)/python benchmarks/peers.py $(ARGS)

results: $(VENV)/installed
	$(BIN)/python benchmarks/results.py $(ARGS)

# PyTorch comes first and by itself, so that `make TORCH='torch==2.13.0 --index-url URL'` chooses its build; an index of
# builds need not have our exact versions of what PyTorch needs, so those come after.
$(VENV)/torch:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	touch $@

$(VENV)/installed: $(VENV)/torch pyproject.toml constraints.txt
	$(EXACT) --editable .
	touch $@

$(VENV)/installed-peers: $(VENV)/torch pyproject.toml
	$(PIP) --editable '.[peers]'
	touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(VENV)/torch pyproject.toml constraints.txt
	$(EXACT) --editable '.[dev]'
	touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
