# make help lists the targets. Everything is kept in .venv and build.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# TEST_OPTIONS=--all-programs: a missing program fails the run instead of leaving tests out
TEST_OPTIONS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

LOCK := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --build-deps-for editable --no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help venv run test lint lint-form lint-types lint-imports docs man bench soak lock install-dev clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*  ## ' $(MAKEFILE_LIST) | sed -E 's/:.*  ## /\t/' | expand -t 14

venv: $(VENV)/dev.stamp  ## make the virtual environment .venv with everything that tests and lint need

run: $(VENV)/run.stamp  ## a tour: a private bus, kdbd on a scratch store, and the main job step by step
	@$(PYTHON) tooling/programs.py dbus-daemon dbus-monitor
	@$(BIN)/python tour/main.py

test: $(VENV)/dev.stamp  ## run every test, those of the service and its libraries on dbus-next and on dbus-fast
	@$(PYTHON) tooling/programs.py dbus-daemon dbus-monitor
	@$(BIN)/python tooling/run_tests.py $(TEST_OPTIONS)

soak: $(VENV)/dev.stamp  ## run the long forms: 1,000 kills, longer random searches
	@$(PYTHON) tooling/programs.py dbus-daemon dbus-monitor
	@$(BIN)/python tooling/run_tests.py --soak --no-coverage

lint: lint-form lint-types lint-imports  ## check form, types and the direction of imports

lint-form: $(VENV)/dev.stamp
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "some files are not formatted; run $(BIN)/ruff format" >&2; exit 1; }

lint-types: $(VENV)/dev.stamp
	@$(BIN)/mypy
	@$(BIN)/mypy tooling/*.py tour/*.py
	@$(BIN)/mypy bench/*.py

lint-imports: $(VENV)/dev.stamp
	@PYTHONPATH=tooling:client:daemon $(BIN)/lint-imports --no-logo

docs: $(VENV)/run.stamp  ## renew what docs/dbus-api.md takes from the introspection XML and the code
	@$(BIN)/python tooling/dbus_api.py

bench: $(VENV)/dev.stamp  ## measure beside xfconf and dconf; prints a table, writes build/bench.json
	@$(PYTHON) tooling/programs.py dbus-daemon dbus-monitor dconf gsettings xfconf-query
	@$(BIN)/python bench/main.py

man: $(VENV)/run.stamp  ## write the manual pages to build/man
	@$(BIN)/python tooling/manual_pages.py

# The second file is held to the versions of the first, so that both fit one environment.
lock: $(VENV)/dev.stamp  ## renew requirements/*.txt, the locked versions with their hashes
	@$(PIP) pip-tools
	@$(LOCK) --extra dev --output-file requirements/dev.txt pyproject.toml
	@$(LOCK) --constraint requirements/dev.txt --output-file requirements/run.txt pyproject.toml

install-dev: $(VENV)/run.stamp  ## let this checkout's kdbd be started by systemd and by the session bus
	@$(BIN)/python tooling/install_dev.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing; the Debian package is python3-venv: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; Debian 12 has it: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "python3's venv is missing; the Debian package is python3-venv: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml daemon/kdbd/__init__.py | $(VENV)/bin/python
	@echo "installing what kdbd needs into $(VENV)"
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "installing what tests and lint need into $(VENV)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
