# Needs a Python 3.10 or newer with its venv module, and a package index that pip can reach; nothing else.

PYTHON ?= python3
# One of those that constraints/ has a file for.
AIRFLOW ?= 3.3.2
DEMO_AIRFLOW := 3.3.2
LOWEST_AIRFLOW := 2.11.0
CANARY_AIRFLOW := 3.4.0b2
test-lowest: UNIT_AIRFLOW = $(LOWEST_AIRFLOW)
test-canary: UNIT_AIRFLOW = $(CANARY_AIRFLOW)
VENV := $(if $(filter $(DEMO_AIRFLOW),$(AIRFLOW)),.venv,.venv-$(AIRFLOW))

ROWS ?= 2500
CONTRACT ?= both
KEEP ?=
# Not taken from the environment, where these are often those of something else.
PORT = 8080
TESTS = tests/unit tests/contract
SLOW =
ARGS ?=
JOBS ?= 2
DEVMODE ?=
SEEDS ?= 10000
NRF_CLOUD ?=
QUICK ?=
BENCH_QUICKLY = $(filter-out 0 no false,$(QUICK))
# By name: outside of a git checkout, ruff does not know that .venv-2.11.2 is none of ours.
SOURCES = $(wildcard airflow_provider_nrfprov benchmarks dags demo docker docs harness reliability tests)

# $(call environment,AIRFLOW,VENV): the virtual environment, complete and up to date. `exec`, here and below:
# a signal to make must reach the program itself, not a shell around it.
define environment
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	  echo "There is no $(PYTHON); install Python 3.10 or newer, or name one with PYTHON=/path/to/python3." >&2; exit 1; }
	@exec "$(PYTHON)" harness/environment.py --airflow "$(1)" --venv "$(2)"
endef

# Nordic's own clients, of either API, for tests/contract and the comparisons; not beside Airflow (pyproject.toml says why).
define nordic
	@"$(PYTHON)" harness/environment.py --nordic --venv .venv-nordic
	@exec "$(PYTHON)" harness/environment.py --memfault --venv .venv-memfault
endef

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-canary test-compose test-scale reliability bench docs env lint clean

help:
	@echo "make demo    a file of devices through a real Airflow, against the emulator of nRF Cloud"
	@echo "             [ROWS=$(ROWS)] [CONTRACT=both|async|sync] [PORT=$(PORT)] [KEEP=1: leave it running]"
	@echo "make test    tests, on Airflow 3.3.2 or AIRFLOW=2.11.2, 3.0.6, 3.1.8, 3.2.2 [ARGS=\"-k token\"]"
	@echo "             [SLOW=1: all tests, with those that run a whole Airflow] [JOBS=$(JOBS): at a time]"
	@echo "             [DEVMODE=1: in Python's development mode, a fifth slower]"
	@echo "make test-lowest   unit and contract tests with the lowest version of everything that pyproject.toml names"
	@echo "make test-canary   the same with the newest of everything and the next Airflow, $(CANARY_AIRFLOW)"
	@echo "make test-compose  the services of docker-compose.yaml without containers; wants PostgreSQL and Redis"
	@echo "make test-scale  50 claims at once, 200,000 rows, on CeleryExecutor with a worker and a triggerer killed, and on"
	@echo "             LocalExecutor; wants PostgreSQL and Redis"
	@echo "make reliability  a claim file under seeded schedules of faults and crashes [SEEDS=$(SEEDS)],"
	@echo "             and sixty times as many files and tokens for the reader, whole and broken"
	@echo "make bench   figures beside what one would use instead, into docs/benchmarks.md, for an hour"
	@echo "             [QUICK=1: a small version of three minutes, into .bench/]"
	@echo "make docs    the pages of docs/, with the reference made from the code, into build/docs/VERSION"
	@echo "make env     secrets for docker-compose.yaml, once: writes .env [NRF_CLOUD=1: asks for the API key]"
	@echo "make lint    ruff and mypy"
	@echo "make clean   remove what these made"
	@echo "PYTHON=...   the Python to start from (now: $(PYTHON))"

demo:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	@exec .venv/bin/python -m demo.main --rows "$(ROWS)" --contract "$(CONTRACT)" --port "$(PORT)" \
	  $(if $(filter-out 0 no false,$(KEEP)),--keep)

test:
	$(call environment,$(AIRFLOW),$(VENV))
	$(nordic)
	@exec env $(if $(filter-out 0 no false,$(DEVMODE)),PYTHONDEVMODE=1) \
	  $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadgroup \
	  $(if $(filter-out 0 no false,$(SLOW)),,-m "not compose and not scale and not slow") $(ARGS)

test-lowest test-canary:
	$(call environment,$(UNIT_AIRFLOW),.venv-$(UNIT_AIRFLOW))
	$(nordic)
	@exec .venv-$(UNIT_AIRFLOW)/bin/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS) $(ARGS)

# In the order in which they are written: the last one stops the services.
test-compose:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	@exec .venv/bin/python -m pytest -m compose -p no:randomly tests/system $(ARGS)

test-scale:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	@exec .venv/bin/python -m pytest -s -m scale tests/system $(ARGS)

reliability:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	$(nordic)
	@.venv/bin/python -m reliability.main --seeds "$(SEEDS)"
	@.venv/bin/python -m reliability.fuzz --examples $$((60 * $(SEEDS)))
	@exec .venv/bin/python -m reliability.fuzz_answers --examples $$((20 * $(SEEDS)))

# The small version leaves the page as it is: its figures are none to publish.
bench:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	$(nordic)
	@$(if $(BENCH_QUICKLY),mkdir -p .bench && cp docs/benchmarks.md .bench/benchmarks.md)
	@exec .venv/bin/python -m benchmarks.main $(if $(BENCH_QUICKLY),--quick --write .bench/benchmarks.md,--write docs/benchmarks.md)

# One folder a version. Needs no network; -n and -W: a name or a link that leads nowhere is an error.
docs:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	@version="$$(.venv/bin/python -c 'import airflow_provider_nrfprov; print(airflow_provider_nrfprov.__version__)')" && \
	  exec .venv/bin/python -m sphinx -n -W --keep-going -q -E -d build/docs/.doctrees docs "build/docs/$$version"

env:
	@exec "$(PYTHON)" docker/make_env.py $(if $(filter-out 0 no false,$(NRF_CLOUD)),--nrf-cloud)

lint:
	$(call environment,$(DEMO_AIRFLOW),.venv)
	.venv/bin/python -m ruff check $(SOURCES)
	.venv/bin/python -m ruff format --check $(SOURCES)
	.venv/bin/python -m mypy

clean:
	rm -rf .venv .venv-* .demo .bench build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
