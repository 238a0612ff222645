# Both `make demo` and `make test` start from a fresh clone with nothing but Python 3.11 or later and make.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)
PYTEST := $(BIN)/python -m pytest

.PHONY: demo test lint bench format wheel clean help
help:
	@echo "make demo   play real sample data into an embedded city, on 127.0.0.1:8000"
	@echo "make test   run the tests"
	@echo "make lint   ruff, mypy, import-linter"
	@echo "make bench  measure, as ratios to a yardstick in the same run"
	@echo "make wheel  build the wheel into dist/"

# Locked versions with hashes; then the project itself, editable.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "citybrain needs Python 3.11 or later; this is " + sys.version.split()[0])'
ifneq ($(UV),)
	@test -x $(BIN)/python || uv venv --quiet --seed --python $(PYTHON) $(VENV)
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --editable .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
endif
	@touch $@

demo: $(STAMP)
	@CITYBRAIN_ADMIN_KEY=$${CITYBRAIN_ADMIN_KEY:-demo-$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(24))')} \
	  $(BIN)/citybrain up --data data/demo --host 127.0.0.1 --port $(PORT) --demo

test: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort=cover | tail -n 25

lint: $(STAMP)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# Regenerate the lock after changing pyproject.toml; needs uv. Extras stay in it: pip does not hold `coverage[toml]` to a pin of `coverage`.
requirements.lock: ;
lock:
	uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-header --no-annotate --group dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-strip-extras --no-header --no-annotate -c requirements.lock pyproject.toml -o deploy/image/requirements.lock

clean:
	rm -rf $(VENV) dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
