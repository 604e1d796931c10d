# Everything here works on a machine with only Python 3.11, make and git: each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO ?= demo
SITE ?= build/docs

.PHONY: setup peers demo docs test check soak bench lock clean

setup: $(READY)

$(READY): requirements/dev.txt pyproject.toml tools/setup.sh
	PYTHON="$(PYTHON)" bash tools/setup.sh "$(VENV)"
	touch $@

peers: ## system packages that the tests use as real peers
	bash tools/peers.sh

demo: $(READY) ## a legacy archive moves into a verified store, in a minute
	$(BIN)/vna-lifecycle demo "$(DEMO)"

docs: $(READY) ## the documentation as a site that needs no network; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -d "$(SITE)/.doctrees" docs "$(SITE)"
	@echo "$(SITE)/index.html"

test: $(READY) peers ## lint, types, and every test but the soak
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not soak"

check: $(READY) ## the fast loop
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -q -n 2 -m "not soak and not peer" tests/unit tests/test_architecture.py

soak: $(READY) peers ## thousands of kills, sequences and mutations
	$(BIN)/python -m pytest -n 2 -m soak --timeout 3600

bench: $(READY) peers ## ratios against peers, as a table and as JSON
	$(BIN)/python -m benchmarks

lock: $(READY) ## renew the locked development environment
	bash tools/lock.sh "$(VENV)"

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
