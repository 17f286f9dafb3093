# Everything a newcomer needs: `make demo` and `make test`. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 20
SEED_FROM ?= 1

.PHONY: demo test chaos bench bench-drift bench-estimates bench-join flights year-again freshness growth memory calibrate nowcast run-length check lint format lock clean help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/demo.stamp ## a year of flights through the pipeline, then the dashboard; ARGS="--exit" stops after the replay
	@$(BIN)/driftline demo $(ARGS)

test: $(VENV)/dev.stamp ## linters, types, layers and all tests; ARGS="tests/ingest -x" runs some of them
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m driftline_schemas.generate --check
	$(BIN)/pytest $(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

bench: $(VENV)/dev.stamp ## what an event costs, ours and others'; ARGS="--json FILE --markdown FILE", or --help
	$(BIN)/python -m tests.bench $(ARGS)

bench-drift: $(VENV)/dev.stamp ## how soon drift is found, and how often for nothing, ours and others'; writes docs/drift-benchmark.md
	@$(BIN)/python -m tests.bench.drift $(ARGS)

bench-join: $(VENV)/dev.stamp ## how many labels a second find their prediction, hot and cold; writes docs/join-benchmark.md
	@$(BIN)/python -m tests.bench.join $(ARGS)

bench-estimates: $(VENV)/dev.stamp ## estimates without labels, ours and NannyML's; writes docs/estimates-benchmark.md
	@$(BIN)/python -m tests.bench.estimates $(ARGS)

year-again: $(VENV)/dev.stamp ## the year of flights with all of its labels again, shuffled, repeated and corrected: no figure may change
	@$(BIN)/python -m tests.demo.again

flights: $(VENV)/dev.stamp ## what was found in the year of flights, from a run of the demo; writes docs/flights.md
	@$(BIN)/python -m tests.bench.flights_page $(ARGS)

freshness: $(VENV)/dev.stamp ## how old rows and alerts are at 20,000 events a second; writes docs/freshness.md
	@$(BIN)/python -m tests.bench.freshness $(ARGS)

memory: $(VENV)/dev.stamp ## what a worker holds that is 60 s behind, while ClickHouse does not answer
	$(BIN)/pytest -q -s -m slow tests/pipeline/test_memory.py

chaos: $(VENV)/dev.stamp ## the crash test, SEEDS=20 from SEED_FROM=1; ARGS="--report docs/chaos.md" keeps its table
	$(BIN)/python -m tests.chaos --seeds $(SEEDS) --from $(SEED_FROM) --prove $(ARGS)

growth: $(VENV)/dev.stamp ## what an event costs with many models, features and partitions, and when it is rare; writes docs/growth.md
	@$(BIN)/python -m tests.bench.growth $(ARGS)

calibrate: $(VENV)/dev.stamp ## how long each detector runs without a false alarm; renews the table that thresholds come from
	$(BIN)/python -m driftline_streams.detectors.calibrate

nowcast: $(VENV)/dev.stamp ## whether what is expected of young days holds their final value; writes docs/late-truth.md
	$(BIN)/python -m tests.bench.nowcast $(ARGS)

run-length: $(VENV)/dev.stamp ## whether false alarms are as rare as stated; writes docs/false-alarms.md
	$(BIN)/python -m tests.bench.run_length $(ARGS)

format: $(VENV)/dev.stamp ## put the code into its one shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## renew requirements/*.lock from pyproject.toml (needs uv)
	@for extra in streams demo dev; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    --extra build --extra $$extra pyproject.toml -o requirements/$$extra.lock || exit 1; \
	done

clean: ## remove the environment and all local data
	-@test -x $(BIN)/driftline && $(BIN)/driftline down
	rm -rf $(VENV) .driftline

# `dev` contains `demo`; each installs what the other has not, so they can come in either order.
$(VENV)/%.stamp: requirements/%.lock pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Driftline needs Python 3.11 or newer: set PYTHON, e.g. make demo PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
