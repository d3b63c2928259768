# `make help` lists the targets. Everything that is installed goes into .venv.
.POSIX:
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help run test test-long check chaos bench bench-large install lint types format i18n setup clean

PORT ?= 8000
export PORT
# Options for pytest, such as PYTEST_ARGS='-k claim'.
PYTEST_ARGS ?= -n 2 --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
PO := $(wildcard referral/translations/*/LC_MESSAGES/*.po)
MO := $(PO:.po=.mo)
LANGUAGES := zh_Hans zh_Hant en
BUILT := static/built/made

# Run and not only found: a version manager may have a python3.12 that only prints a message.
CANDIDATES := python3 python3.13 python3.12 python3.11
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	echo "$$python"; break; fi; done)
# -qq: errors only. The versions are the ones in constraints.txt, nothing newer.
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

help:
	@echo 'make run        set up and start the service with a demo brand on http://127.0.0.1:$(PORT)'
	@echo 'make test       set up and run the tests'
	@echo 'make test-long  run the slow tests as well, and those of pages and commands on both databases'
	@echo 'make check      what a contribution must pass: formatting, lint, types, tests'
	@echo 'make chaos      kill every process of a running service under load, again and again'
	@echo 'make bench      measure speed, as ratios within one run; see bench/README.md'
	@echo 'make bench-large the same at 10 million visits; a quarter of an hour and 12 GB of disk'
	@echo 'make install    set up the service alone, for production; see docs/deploy.md'
	@echo 'make format     format the code and fix what can be fixed by itself'
	@echo 'make i18n       bring the translation catalogues up to date with the code'
	@echo 'make clean      remove what the other targets made (not the data in var/)'

# A Ctrl-C ends the service in good order; that is no error of this target.
run: $(VENV)/installed $(MO) $(BUILT)
	@trap : INT; $(BIN)/referral run || { code=$$?; [ $$code -eq 130 ] || exit $$code; }

test: setup
	@$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

# Some of these take many minutes: to tell where they are would disturb them.
test-long: setup
	@$(BIN)/python -m pytest --both-databases $(PYTEST_ARGS) -o faulthandler_timeout=0

check: lint types test

# CHAOS_SEED chooses other moments. It takes most of an hour and both processors of a small machine.
chaos: setup
	@$(BIN)/python -m pytest tests/chaos -n 0 -s -o faulthandler_timeout=0

bench: setup
	@$(BIN)/python -m bench

bench-large: setup
	@$(BIN)/python -m bench large

install: $(VENV)/installed $(MO) $(BUILT)

setup: $(VENV)/installed-test $(MO) $(BUILT)

lint: $(VENV)/installed-test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/installed-test
	@$(BIN)/mypy

format: $(VENV)/installed-test
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The environment knows its place: in a checkout that was moved or copied, or after its Python went
# away, it is made again.
ifneq ($(shell test -x $(BIN)/python && cat $(VENV)/place 2>/dev/null),$(shell pwd -P))
.PHONY: $(VENV)/place
endif
$(VENV)/place:
	@if [ -z '$(PYTHON)' ]; then \
		echo 'This needs Python 3.11 or newer, and none of $(CANDIDATES) is one.' >&2; exit 1; fi
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo 'Python cannot make a virtual environment; on Debian: apt install python3-venv' >&2; \
		exit 1; }
	@pwd -P > $@

$(VENV)/installed: pyproject.toml constraints.txt $(VENV)/place
	@echo 'Installing the service into $(VENV) (the first time, about half a minute) ...'
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt $(VENV)/place
	@echo 'Installing the service and its tests into $(VENV) (the first time, about a minute) ...'
	@$(PIP_INSTALL) --editable '.[test]'
	@touch $(VENV)/installed $@

%.mo: %.po
	@$(BIN)/pybabel --quiet compile --input-file=$< --output-file=$@

# The console's scripts. npm comes with pip, so that every machine builds with the same one.
frontend/node_modules/made: frontend/package.json frontend/package-lock.json frontend/.npmrc $(VENV)/installed
	@echo "Building the console's scripts (the first time, about 20 seconds) ..."
	@$(PIP_INSTALL) --editable '.[build]'
	@cd frontend && PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent
	@touch $@

$(BUILT): frontend/node_modules/made frontend/build.js $(wildcard frontend/pages/*.js frontend/charts/*.js frontend/tree/*.js)
	@cd frontend && PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent build
	@touch $@

# Neither line numbers nor dates are written, so that a catalogue changes when its texts do.
i18n: $(VENV)/installed
	@$(BIN)/pybabel --quiet extract --mapping-file=babel.cfg --keywords='lazy_gettext N_' \
		--add-comments='Translators:' --add-location=file --sort-output --width=100 \
		--project=referral --output-file=$(VENV)/messages.pot .
	@for language in $(LANGUAGES); do \
		$(BIN)/pybabel --quiet update --init-missing --locale=$$language --no-fuzzy-matching \
			--ignore-obsolete --ignore-pot-creation-date --width=100 \
			--input-file=$(VENV)/messages.pot --output-dir=referral/translations || exit 1; \
	done

clean:
	rm -rf $(VENV) frontend/node_modules static/built build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f referral/translations/*/LC_MESSAGES/*.mo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
