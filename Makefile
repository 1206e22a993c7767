# Every target works in a fresh clone: it makes the environment it needs first.
#   PYTHON=python3.12   the interpreter for a new environment
#   VENV=.venv-3.12     another environment beside the first
#   ARGS="-k sgd"       passed on to the command
.POSIX:
.SUFFIXES:

PYTHON = python3
VENV = .venv
ARGS =

help:
	@echo "make demo    train a network on handwritten digits and draw what it learned"
	@echo "make gallery run every example in full, as many at once as there are cores; fails if one misses its target"
	@echo "make notebooks  execute the scripts of docs/notebooks as notebooks; fails if a cell does"
	@echo "make test    run all tests, on all cores"
	@echo "make bench   measure minidl's speed against NumPy's (and PyTorch's and JAX's, if they are in $(VENV))"
	@echo "make docs    build the site into out/site, with every example in full; DOCS_QUICK=1 make docs: a few, and those quickly"
	@echo "make lint    check style and types"
	@echo "make clean   remove $(VENV) and everything that was generated"
	@echo "Options: PYTHON=$(PYTHON) (for a new environment), VENV=$(VENV), ARGS=\"...\" (for the command)"

demo: $(VENV)/examples
	$(VENV)/bin/python examples/digits_mlp.py $(ARGS)

gallery: $(VENV)/examples
	$(VENV)/bin/python examples/gallery.py $(ARGS)

notebooks: $(VENV)/notebooks
	$(VENV)/bin/python docs/notebooks/run.py --html $(ARGS)

test: $(VENV)/tests
	PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

bench: $(VENV)/benchmarks
	$(VENV)/bin/python benchmarks/run.py --out out $(ARGS)

docs: $(VENV)/docs
	$(VENV)/bin/python -m sphinx --fail-on-warning --keep-going --jobs auto -d out/doctrees docs out/site $(ARGS)
	$(VENV)/bin/python docs/site_tools/check.py out/site

lint: $(VENV)/dev
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m pytest -q tests/test_typing.py

clean:
	rm -rf $(VENV) $(VENV)-unfinished build dist out .pytest_cache .ruff_cache .hypothesis
	rm -rf docs/api docs/atlas docs/extra docs/gallery docs/programs docs/reading docs/sg_execution_times.rst
	find minidl tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# One file for each extra of pyproject.toml says that it is installed. An installation that was interrupted leaves
# `-unfinished` behind, and the next one starts from an empty environment, because pip takes half a package for a whole one.
$(VENV)/examples $(VENV)/notebooks $(VENV)/tests $(VENV)/benchmarks $(VENV)/docs $(VENV)/dev: pyproject.toml
	@if test -e $(VENV)-unfinished || ! $(VENV)/bin/python -c "" 2>/dev/null; then \
		touch $(VENV)-unfinished; \
		echo "$(PYTHON) -m venv --clear $(VENV)"; \
		$(PYTHON) -m venv --clear $(VENV); \
	fi
	@touch $(VENV)-unfinished
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$(@F)]'
	@$(VENV)/bin/python -m compileall -q minidl
	@rm $(VENV)-unfinished
	@touch $@

.PHONY: help demo gallery notebooks test bench docs lint clean
