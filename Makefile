# `make run` and `make test` are all a newcomer needs: each makes what it needs first.

BIN := .venv/bin
CODE := $(wildcard ingest correlator notifier console tocsin tests bench)
ARGS ?=

SECONDS ?= 600

.PHONY: run test fuzz lint bench faults soak mutants lock dev servers clean

run: ## start everything: ARGS='--config.file other.yaml'
	@scripts/venv run
	exec $(BIN)/tocsin serve $(ARGS)

test: servers lint ## lint, then all tests: ARGS='tests/test_tidy.py -k clock'
	$(BIN)/python -m pytest $(ARGS)

fuzz: dev ## look for new ground, from a seed that it prints: SECONDS=3600 SEED=1 ARGS='-k openapi'
	@seed="$(SEED)"; export TOCSIN_FUZZ_SEED="$${seed:-$$(date +%s)}" TOCSIN_FUZZ_SECONDS="$(SECONDS)"; \
	echo "fuzz: $$TOCSIN_FUZZ_SECONDS s from TOCSIN_FUZZ_SEED=$$TOCSIN_FUZZ_SEED"; \
	exec $(BIN)/python -m pytest -p no:randomly -o timeout=0 tests/fuzz $(ARGS)

lint: dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy --strict $(CODE)
	$(BIN)/lint-imports

bench: dev servers ## measured against Alertmanager, printed as one table
	$(BIN)/python -m bench $(ARGS)

faults: dev servers ## every fault of docs/reliability.md, one after the other: ARGS='--rows 1,9'
	$(BIN)/python -m tests.faults $(ARGS)

soak: dev ## live through days of the whole pager, seed after seed: HOURS=8 SEED=1000
	$(BIN)/python -m tests.simulation.system --seeds $(or $(SEED),1000): --hours $(or $(HOURS),1)

mutants: dev ## plant every bug of tests/simulation/mutants.py in its turn and see it found: ARGS='fence'
	$(BIN)/python -m tests.simulation.mutants_run $(ARGS)

lock: ## write the lock files from pyproject.toml: ARGS=--upgrade
	scripts/lock $(ARGS)

dev:
	@scripts/venv dev

servers:
	@scripts/test-servers

clean: ## what make and the tools made; never data/, which is the store
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
