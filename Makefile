# make setup  everything into .venv/        make run   the whole system on this machine
# make test   make test-long   make lint   make bench   make screenshots   make releases
#
# Needs Python 3.11 or newer, make and the package registries; uv is used where it is on PATH.

BIN := .venv/bin
READY := .venv/.ready
UV := $(shell command -v uv)
PYTHON := $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v "$$p" && break; done)
CODE := $(wildcard caseladder cases workflows activities starter worker.py hatch_build.py tests bench)

# Each test starts programs, and each run of a workflow reads the rules anew: from bytecode, not from their source.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run test test-long lint bench screenshots releases

setup: $(READY)

# Made again only when what is to be installed has changed.
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "caseladder needs Python 3.11 or newer; none is on PATH." >&2; exit 1; }
ifneq ($(UV),)
	uv venv --quiet --allow-existing --python "$(PYTHON)" .venv
	uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[embedded,dev]'
else
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
endif
	@touch $@

# exec: Ctrl-C reaches the program itself, and make waits until it has stopped everything.
run: setup
	@exec $(BIN)/caseladder up --examples

# The browser tests need Chromium, which apt installs if this runs as root; otherwise this says what to install,
# and the browser tests fail with the same message. Three processes on two cores, since tests wait a lot.
test: setup
	-@$(BIN)/python -m tests.console.browser
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder -m "not long"

# The tests that take long or need the package registries: first those that need the machine for themselves. At last the
# short tests of workflows with no workflow kept in memory, so that every task is a replay.
test-long: setup
	-@$(BIN)/python -m tests.console.browser
	$(BIN)/python -m pytest -m "long and alone"
	$(BIN)/python -m pytest -n 3 --no-loadscope-reorder -m "long and not alone"
	CASELADDER_TEST_CACHE=0 $(BIN)/python -m pytest -n 3 --no-loadscope-reorder -m "not long" tests/workflows

lint: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)

bench: setup
	@set -e; for file in $(filter-out %/support.py %/fill_casebook.py,$(wildcard bench/*.py)); do echo "== $$file"; $(BIN)/python "$$file"; done

# A picture of each page of the console, in both languages, light and dark, into docs/screenshots/.
screenshots: setup
	$(BIN)/python -m tests.console.screenshots

# What the present rules leave behind, for later releases to read, into tests/releases/ (CONTRIBUTING.md, "Change a rule").
releases: setup
	$(BIN)/python -m tests.releases.make
