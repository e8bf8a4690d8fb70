# make demo, make test: all that a fresh machine needs is python3 with venv, and make.

.DEFAULT_GOAL := help
.PHONY: help demo test worlds lowest pythons coverage bench sick fuzz mutants pictures reference check fix \
	dist clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := .venv-bench
LOWEST := .venv-lowest
PYTEST := -m pytest --numprocesses auto --dist worksteal

help:
	@echo "make demo   rehearse: send samples/orders.csv to a simulated CertCentral"
	@echo "make test   run every test"
	@echo "make worlds  run the program in simulated worlds of fresh seeds: SECONDS=60, SEED=, WORLD=FILE"
	@echo "make lowest  the same as test, with the oldest versions of what runs that are allowed"
	@echo "make pythons  the same, with each Python from 3.11 to 3.14 that is installed"
	@echo "make coverage  the same, and which lines they run"
	@echo "make bench  measure what is promised of speed and memory, beside peers; takes half an hour"
	@echo "make sick   whole runs against a CA that fails in many ways; takes eight minutes"
	@echo "make fuzz   feed the readers of lists a minute of junk"
	@echo "make mutants  change what decides, line by line: does a test notice? all of it takes hours"
	@echo "make pictures  the screens of README and manual, and the picture of a report, from a real run"
	@echo "make reference  what manual and schema say of options and calls, from the code"
	@echo "make check  format, lint, spelling, complexity, types, and the house's import rules"
	@echo "make fix    format, and fix what the linter can"
	@echo "make dist   build what is released, install it where nothing else is, and try it"
	@echo "make clean  remove the environment and everything made"

# uv where it is there, for speed; pip otherwise.
$(READY): pyproject.toml
	@echo "Installing batch-resend and what its tests need into $(VENV), once: about a minute ..."
	@python3 -m venv $(VENV)
	@if command -v uv >/dev/null 2>&1; \
	then uv pip install --quiet --python $(BIN)/python --editable '.[dev]'; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; fi
	@touch $@
	@echo "Installed."

# The peers in an environment of their own.
$(BENCH)/.ready: pyproject.toml
	python3 -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

# The oldest that pyproject.toml allows of what runs, which only uv can choose; what tests, as ever.
$(LOWEST)/.ready: pyproject.toml
	python3 -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python \
		--resolution lowest-direct --editable '.[cluster,uvloop]'
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --editable '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/batch-resend simulate --latency 10-100ms --unknown 100200305 \
		-- $(BIN)/batch-resend send --yes samples/orders.csv || test $$? -eq 3

test: $(READY)
	$(BIN)/python $(PYTEST)

# One seed again: `make worlds SEED=4711`. A world as it was printed: `make worlds WORLD=FILE`.
# Those with several hosts, at a PostgreSQL server: HOSTS=1 beside it. KNOWN=1: which known faults are found.
SECONDS ?= 60
worlds: $(READY)
	$(BIN)/python -m tests.worlds $(if $(HOSTS),--hosts) $(if $(KNOWN),--known) --seconds $(SECONDS) \
		--seed "$(SEED)" --world "$(WORLD)"

lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python $(PYTEST)

# Each in an environment of its own. A Python that is not installed is named and passed over.
PYTHONS := 3.11 3.12 3.13 3.14
pythons:
	@for version in $(PYTHONS); do \
		command -v python$$version >/dev/null || { echo "Python $$version: not installed"; continue; }; \
		echo "Python $$version:"; place=.venv-$$version; \
		python$$version -m venv $$place \
		&& $$place/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]' \
		&& $$place/bin/python $(PYTEST) || exit; \
	done

# In every process that the tests start, too: a quarter slower. Below 95 % it fails.
coverage: $(READY)
	$(BIN)/python $(PYTEST) --cov --cov-report term

bench: $(BENCH)/.ready
	$(BENCH)/bin/python -m tests.bench

sick: $(READY)
	$(BIN)/python -m tests.bench.sick

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz.readers --seconds 60

# Needs tmux and chromium.
pictures: $(READY)
	$(BIN)/python -m tests.pictures

reference: $(READY)
	$(BIN)/python -m tests.reference

# Results stay in mutants/: `.venv/bin/mutmut results`, `.venv/bin/mutmut show NAME`.
mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	$(BIN)/mutmut run

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell batch_resend samples tests README.md Makefile pyproject.toml
	$(BIN)/complexipy batch_resend --max-complexity-allowed 12 --failed --quiet
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

dist: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dist]'
	$(BIN)/python -m tests.dist

clean:
	rm -rf $(VENV) $(VENV)-3.* $(BENCH) $(LOWEST) bench.json build dist mutants reports .coverage* .hypothesis .*_cache *.egg-info
