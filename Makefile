# Everything sets itself up: a target may be the first thing ever called in a fresh clone.
SHELL := /bin/bash
.DEFAULT_GOAL := help

DRIVER ?= auto
IDS ?=
K ?=
SEED ?= 1
PATCH ?=
TIER ?=
REQUIRE ?=
LANES ?=
SMALL ?=

VENV := .venv
READY := $(VENV)/.ready
LAB := $(VENV)/bin/lab
PYTHON ?= python3
# Where a shell forbids it, every start of the lab would compile all of its own modules again: 0.6 s of a processor.
unexport PYTHONDONTWRITEBYTECODE

# Free text reaches the commands as the shell's variables, so that a quote in it is a quote.
export IDS K PATCH FAULT TARGET
options = --driver $(DRIVER) --seed $(SEED) $(if $(IDS),--ids "$$IDS") $(if $(K),--keyword "$$K") \
  $(if $(TIER),--tier $(TIER)) $(if $(REQUIRE),--require) $(if $(LANES),--lanes $(LANES))

# The type checker's Django plugin loads the app's settings, which refuse to load without these; nothing connects.
NO_STACK := APP_ENV=dev SECRET_KEY=for-the-type-checker-only-0123456789abcdef DATABASE_URL=postgresql://nobody:none@localhost/none \
  REDIS_URL=redis://localhost/0

# Files side by side, one per core; what a file's tests share is started once.
PYTEST := $(VENV)/bin/python -m pytest tests --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: help
help: ## what there is to call
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements-lab.lock pyproject.toml
	@echo "setting up $(VENV) from requirements-lab.lock (once; about a minute) …"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet "$$(grep -oE '^uv==[^ ;]+' requirements-lab.lock)"
	@$(VENV)/bin/uv pip sync --quiet --python $(VENV)/bin/python --require-hashes requirements-lab.lock
	@$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation --editable .
	@touch $(READY)

.PHONY: chaos
chaos: $(READY) ## prove it: run the scenarios [DRIVER=auto|containers|processes IDS='W1 W2' K=… TIER=fast|core|rest SEED=n PATCH=file.diff REQUIRE=1 LANES=n SMALL=1]
	@$(LAB) chaos $(options) $(if $(SMALL),--small) $(if $(PATCH),--patch "$$PATCH")

.PHONY: load
load: $(READY) ## load it with backfilling phones [USERS=n RATE=0.5 RUN_TIME=30 SHAPE=steady|ramp|spike|soak FAULT=W6 PLANTED=no_sweeper PROCESSES=1 TARGET=url UI=1 DRIVER SEED]
	@$(LAB) load --driver $(DRIVER) --seed $(SEED) $(if $(USERS),--users $(USERS)) $(if $(RATE),--rate $(RATE)) \
	  $(if $(RUN_TIME),--run-time $(RUN_TIME)) $(if $(SHAPE),--shape $(SHAPE)) $(if $(FAULT),--fault "$$FAULT") \
	  $(if $(PLANTED),--planted $(PLANTED)) $(if $(PROCESSES),--processes $(PROCESSES)) \
	  $(if $(TARGET),--target "$$TARGET") $(if $(UI),--ui)

.PHONY: defects
defects: $(READY) ## prove that it can tell: run the planted defects with and without their fault [DRIVER IDS K TIER SEED REQUIRE=1 LANES]
	@$(LAB) defects $(options)

.PHONY: doctor
doctor: $(READY) ## what is missing on this machine, and what is unsafe in the stack
	@$(LAB) doctor

.PHONY: images
images: $(READY) ## pull the images, or build stand-ins where no registry answers
	@$(VENV)/bin/python -m harness.images

.PHONY: up
up: $(READY) ## a stack to play with [DRIVER PHONES=n]
	@$(LAB) up --driver $(DRIVER) --phones $(or $(PHONES),0)

.PHONY: down
down: $(READY) ## end it
	@$(LAB) down

.PHONY: test
test: $(READY) ## the lab's and the app's own tests, but for those that start whole stacks [REQUIRE=1]
	@REQUIRE=$(REQUIRE) $(PYTEST) -m 'not stack'

.PHONY: test-stack
test-stack: $(READY) ## the tests that start whole stacks, on each driver that works here [REQUIRE=1]
	@REQUIRE=$(REQUIRE) $(PYTEST) -m stack

.PHONY: bench
bench: $(READY) ## measure: import and accept path, growth to 10 M records, the lab's own check [DRIVER QUICK=1 a rehearsal]
	@$(VENV)/bin/python -m harness.bench.run --driver $(DRIVER) $(if $(QUICK),--quick)
	@$(VENV)/bin/python -m harness.bench.capacity

.PHONY: bench-lab
bench-lab: $(READY) ## where the latest chaos run's time went [RUN=reports/…]
	@$(VENV)/bin/python -m harness.bench.lab_shares $(RUN)

.PHONY: check
check: $(READY) ## format, lint, types, import rules
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@PYTHONPATH=app $(VENV)/bin/lint-imports
	@PYTHONPATH=app $(NO_STACK) $(VENV)/bin/mypy app harness scenarios locustfiles tests

.PHONY: clean
clean: ## undo leftovers, remove what the lab built here
	@test ! -x $(LAB) || $(LAB) down --all
	@rm -rf $(VENV) .lab build *.egg-info
