# make demo, make test: each sets up everything it needs first; a second run needs no network.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The folder belongs to it: the scripts in a moved .venv point to where it was.
STAMP := .venv/.installed-$(shell (pwd; cat pyproject.toml constraints.txt) | cksum | tr ' ' '-')
SCREEN := $(if $(filter Linux,$(shell uname -s)$(DISPLAY)$(WAYLAND_DISPLAY)),xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX")
SIDE_BY_SIDE := -n 2 --dist loadfile
HEADLESS := $(if $(SCREEN),--headless,)

.PHONY: demo test core lint env clean docs docs-pictures

demo: env  ## open napari on the sample measurement and reconstruct it; without a display, leave pictures in demo/
	$(SCREEN) $(BIN)/stem-inpaint demo $(HEADLESS) --out demo

test: env  ## run every test
	$(SCREEN) $(BIN)/python -m pytest -q $(SIDE_BY_SIDE)

core: env  ## run the quick tests that need no window
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) -m "not slow" --ignore=tests/gui

lint: env  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/npe2 validate --imports napari-stem-inpaint

env: $(STAMP)  ## build .venv and get the system libraries
	@sh scripts/system_libraries.sh

# Named by what it was made from, so it has no prerequisites: a checkout changes the files' times, not the environment.
$(STAMP):
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: install it (Debian: apt-get install python3 python3-venv) and try again." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || \
		{ echo "Python's venv module is needed: apt-get install python3-venv, then try again." >&2; rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[pyside6,em]" --group dev
	@rm -f .venv/.installed-* && touch $@

clean:  ## remove what was built
	rm -rf .venv demo build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis

docs: env  ## build the site from docs/ into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group docs
	$(BIN)/python scripts/cli_page.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

docs-pictures: env  ## make the pictures of windows and the animation again, from the real program
	$(SCREEN) $(BIN)/stem-inpaint demo --headless --out docs/images
	rm -f docs/images/*.tif docs/images/window.png
	$(SCREEN) $(BIN)/python scripts/flow_pictures.py
	$(SCREEN) $(BIN)/python scripts/simulate_picture.py
	$(SCREEN) $(BIN)/python scripts/train_picture.py
