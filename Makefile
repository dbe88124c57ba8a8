.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Where a shell forbids it, every one of a hundred processes would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=
# Each process has a bed of its own, and the long files come first.
IN_PARALLEL := -n 4 --dist loadfile --no-loadscope-reorder
TESTS := tests/security tests/faults tests/operated tests/integration tests/chart tests/unit

help: ## Show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(VENV)/.installed: pyproject.toml requirements/dev.txt
	@$(PYTHON) -m ensurepip --version >/dev/null 2>&1 || { echo "Installing with apt-get: python3-venv"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

install: $(VENV)/.installed ## Make .venv with everything needed, from the lock file

demo: install ## See it work: real Slurm, real Kubernetes API, six submissions
	$(BIN)/python -m bed.demo

demo-jobbergate: install ## The same with a real Jobbergate: submit, cancel, clone, delete there, run on the cluster
	$(BIN)/python -m bed.demo_jobbergate

test: install ## All tests but the slow ones (make slow) and the whole node (make e2e)
	$(BIN)/python -m pytest $(TESTS) -m "not slow" $(IN_PARALLEL)

slow: install ## The tests that make test leaves out, most of them faults
	$(BIN)/python -m pytest $(TESTS) -m slow $(IN_PARALLEL)

faults: install ## Whatever can break, breaks: kills at random, connections, login nodes, sbatch, slurmctld, the API server
	$(BIN)/python -m pytest tests/faults $(IN_PARALLEL)

attacks: install ## Attempts to get in, each refused, and each shown to succeed where its defence was taken out
	$(BIN)/python -m pytest tests/security -n 2 --dist loadfile

soak: install ## Random faults upon random submissions, and a judge: INJECTIONS=1000 (about an hour), SEED=... to repeat one
	$(BIN)/python -m tests.faults.soak --injections $(or $(INJECTIONS),1000) $(if $(SEED),--seed $(SEED))

bench: bench-load bench-jobbergate ## Both benchmarks, one after the other: on a machine that does nothing else

bench-load: install ## A thousand submissions at once, ten thousand active, single ones: beside plain sbatch, about half an hour
	$(BIN)/python -m benchmarks.load $(if $(ROUNDS),--rounds $(ROUNDS))

bench-jobbergate: install ## Submissions of Jobbergate carried by Slurmgate and by the Jobbergate Agent, side by side: up to 30 minutes
	$(BIN)/python -m benchmarks.jobbergate $(if $(ROUNDS),--rounds $(ROUNDS))

bench-compare: install ## What has become of each figure since an older run: OLD=path/to/load.json, NEW=... if it is not in benchmarks/results
	@$(BIN)/python -m benchmarks.measuring $(OLD) $(NEW)

e2e: install ## The chart on a whole Kubernetes node
	$(BIN)/python -m pytest tests/e2e -m node

check: install ## Lint, format, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/slurmgate bed benchmarks generate tests examples/plugin
	$(BIN)/lint-imports

.venv-audit/.installed: requirements/audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --require-hashes --requirement requirements/audit.txt
	@touch $@

audit: sbom ## Look for weaknesses in our code, and for known ones in what it depends on, where PyPI can be asked
	.ci/audit .venv-audit/bin

sbom: .venv-audit/.installed ## List what the image contains besides Python, as CycloneDX: build/sbom.json
	@mkdir -p build
	.venv-audit/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json

bed: install ## Start the bed and install the chart's objects in it, to play with
	$(BIN)/python -m bed.play

run: install ## Run the operator on the bed, in the foreground: PLUGINS=... allows some
	$(BIN)/python -m bed.play run $(PLUGINS)

down: install ## End the bed
	$(BIN)/python -m bed down

generate: install ## Make CRDs, chart CRDs and reference pages from the models
	$(BIN)/python -m generate

lock: install ## Resolve the dependencies anew
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --output-file requirements/runtime.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --allow-unsafe --extra dev --output-file requirements/dev.txt pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --allow-unsafe --output-file requirements/audit.txt requirements/audit.in
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --allow-unsafe --output-file bed/jobbergate/requirements.txt bed/jobbergate/requirements.in
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-header --no-annotate --allow-unsafe --output-file bed/jobbergate/requirements-agent.txt bed/jobbergate/requirements-agent.in

.PHONY: help install demo demo-jobbergate test slow faults attacks soak bench bench-load bench-jobbergate bench-compare e2e check audit sbom bed run down generate lock
