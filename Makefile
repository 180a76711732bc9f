# `make` alone lists the targets. PYTHON names the interpreter that .venv is made from.
PYTHON ?= python3
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
BIN := .venv/bin

# A command that is started hundreds of times, as by the tests, must not compile itself each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
COMPILE := uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
LOCK := $(COMPILE) --python-version 3.11 pyproject.toml --extra embedded --group build

.PHONY: bench bench-auditing bench-serving contract help interop lock stops venv venv-dev venv-interop demo test test-fast lint

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 15

venv: ## make or refresh .venv from the hashed lock; .venv/bin/ledger is then ready
	@$(PYTHON) bin/make_venv.py

venv-dev:
	@$(PYTHON) bin/make_venv.py --dev

demo: ## a ledger of its own with the demonstration petitions, served until Ctrl-C (DEMO_ARGS=--once prints and ends)
	@$(PYTHON) bin/make_venv.py --step 1/5
	@$(BIN)/ledger demo $(DEMO_ARGS)

test: venv-dev ## the whole test suite, in two processes, each with a real PostgreSQL that it starts (TEST_ARGS go to pytest)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

test-fast: venv-dev ## the pure part of the suite: seconds, no server
	@$(BIN)/python -m pytest -m "not database" $(TEST_ARGS)

venv-interop:
	@$(PYTHON) bin/make_interop.py

interop: venv-dev venv-interop ## other people's verifier and witness against ours; needs a Python 3.12 or newer beside
	@$(BIN)/python -m pytest tests/interop $(TEST_ARGS)

lint: venv-dev ## ruff, mypy --strict, the import contracts, unused dependencies
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

bench: venv-dev ## rates of importing, projecting, rebuilding and replaying, beside a peer in the same run (BENCH_ARGS=ROWS RUNS)
	@$(BIN)/python -m bench.rates $(BENCH_ARGS)

bench-auditing: venv-dev ## sealing beside an import, export, verifying, beside one pass of SHA-256 (BENCH_ARGS=ROWS)
	@$(BIN)/python -m bench.auditing $(BENCH_ARGS)

bench-serving: venv-dev ## signatures and reads a second over HTTP, beside a bare handler (BENCH_ARGS="30 --kill"; needs wrk)
	@$(BIN)/python -m bench.serving $(BENCH_ARGS)

contract: venv-dev ## schemathesis over the whole OpenAPI document, 500 examples an operation: about a quarter of an hour
	@CONTRACT_EXAMPLES=500 $(BIN)/python -m pytest tests/service/test_contract.py -rP $(TEST_ARGS)

stops: venv-dev ## SIGTERM under load, 20 times for each kind of service: nothing acknowledged is lost, exit 0, under 10 s
	@STOPS=20 $(BIN)/python -m pytest tests/service/serving/test_supervisor.py -k stopping_under_load -rP $(TEST_ARGS)

lock: ## resolve the hashed locks anew, where uv is installed; they name no index
	@$(LOCK) -o requirements.lock
	@$(LOCK) --group dev -o requirements-dev.lock
	@$(COMPILE) --python-version 3.12 --group interop -o requirements-interop.lock
