# make demo, make demo-cluster, make test; the rest is for those who change rxws
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# processes of pytest beside each other, each with some of the files: the tests wait more than they work
WORKERS ?= 4
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --max-worker-restart=0

.PHONY: demo demo-cluster test core test-all lint coverage conformance cluster-test fuzz bench soak notebooks lab docs docs-check clean

demo: $(VENV)/.demo $(if $(findstring --asgi,$(ARGS)),$(VENV)/.asgi)
	$(BIN)/python -m rxws demo $(ARGS)

demo-cluster: $(VENV)/.cluster
	$(BIN)/python examples/cluster/demo.py

test: $(VENV)/.test tests/npm/node_modules browser proxy servers .venv-servers/.installed .venv-asgi/.installed
	$(PYTEST) $(ARGS)

test-all:
	for version in 3.11 3.12 3.13; do \
	    $(MAKE) test PYTHON="$$(sh tests/python.sh $$version)" VENV=.venv-$$version || exit 1; \
	done
	$(MAKE) test PYTHON="$$(sh tests/python.sh 3.11)" VENV=.venv-lowest CONSTRAINT="-c tests/lowest.txt"

core: $(VENV)/.test
	$(BIN)/python -m pytest $(addprefix tests/,client core marbles operators recording rx server testing topics wires) $(ARGS)

coverage: $(VENV)/.test tests/npm/node_modules
	$(PYTEST) --cov --cov-report=term tests $(addprefix --ignore=tests/,integration faults examples conformance fuzzing jupyter servers)

conformance: $(VENV)/.test
	$(BIN)/python -m tests.conformance

fuzz: $(VENV)/.test
	FUZZ=$(or $(FUZZ),100) $(BIN)/python -m pytest tests/fuzzing $(ARGS)

cluster-test: $(VENV)/.test
	CLUSTER=1 $(BIN)/python -m pytest tests/integration/test_topics_cluster.py tests/integration/test_topics_cluster_faults.py $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tests/typing/blocks.py
	$(BIN)/pyright -p pyproject.toml --pythonpath $(BIN)/python
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m tests.prose

SITE = docs/_build/html

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -q docs $(SITE)
	@echo "http://127.0.0.1:$(or $(PORT),8000)"
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE) $(or $(PORT),8000)

docs-check: $(VENV)/.docs
	rm -rf $(SITE)
	$(BIN)/python -m sphinx -q -E -W --keep-going docs $(SITE)
	$(BIN)/python docs/check_links.py $(SITE)

bench: $(VENV)/.bench
	-$(MAKE) tests/npm/node_modules
	$(BIN)/python -m benchmarks.run $(ARGS)

soak: $(VENV)/.test
	$(BIN)/python -W ignore -m tests.faults.soak $(ARGS)

notebooks: $(VENV)/.test
	$(BIN)/python notebooks/store.py

lab: browser
	$(MAKE) .venv-lab/.lab VENV=.venv-lab
	.venv-lab/bin/python -m tests.jupyter.lab $(ARGS)

clean:
	rm -rf .venv* tests/npm/node_modules .coverage .pytest_cache .mypy_cache .ruff_cache dist docs/_build

$(VENV)/.%: pyproject.toml
	@echo "Installing into $(VENV), which takes minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(CONSTRAINT) -e ".[$*]"
	touch $@

tests/npm/node_modules: tests/npm/package-lock.json
	npm ci --prefix tests/npm --no-audit --no-fund --loglevel=error
	touch $@

# servers in Python that would bring a hundred packages into the other environments
.venv-servers/.installed: tests/servers/requirements.txt
	test -x .venv-servers/bin/python || $(PYTHON) -m venv .venv-servers
	.venv-servers/bin/pip install --quiet --no-compile --disable-pip-version-check -r $<
	touch $@

# ASGI's servers, which want other versions of what those want
.venv-asgi/.installed: tests/servers/asgi/requirements.txt
	test -x .venv-asgi/bin/python || $(PYTHON) -m venv .venv-asgi
	.venv-asgi/bin/pip install --quiet --no-compile --disable-pip-version-check -r $<
	touch $@

.PHONY: browser proxy servers
browser proxy servers:
	@sh tests/$@.sh
