# Two commands matter: `make demo` shows what TrueTile does, `make test` proves it.
# Everything that is built or installed lives in .venv, which git ignores.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := $(VENV)/build/editable
JOBS ?= $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

NATIVE_SOURCES := CMakeLists.txt pyproject.toml $(shell find cmake csrc tests/cpp -type f)

.PHONY: demo test docs lint format native asan tsan wheel test-wheel test-oldest-torch test-windows test-comfyui clean

demo: $(VENV)/.native
	$(BIN)/truetile demo --out demo $(DEMO_ARGS)

test: $(VENV)/.native lint
	$(BIN)/ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) $(PYTEST_ARGS)

# The documentation site in .venv/site; its tests build it too.
docs: $(VENV)/.env
	PYTHONPATH="$(CURDIR)" $(BIN)/python tools/docs/build.py

# An environment is reused while the requirements and the interpreter stay the same.
$(VENV)/.env: requirements-dev.txt tools/make_env.sh
	PYTHON=$(PYTHON) VENV=$(VENV) bash tools/make_env.sh
	touch $@

$(VENV)/.native: $(VENV)/.env $(NATIVE_SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install -q --no-build-isolation --no-deps -e . \
	  -Ccmake.define.TRUETILE_BUILD_TESTS=ON
	touch $@

native: $(VENV)/.native

lint: $(VENV)/.native
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	BIN=$(BIN) BUILD=$(BUILD) bash tools/lint_cpp.sh

format: $(VENV)/.env
	$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .
	git ls-files 'csrc/*' 'tests/cpp/*' | grep -E '\.(cpp|hpp|cu|cuh)$$' | xargs $(BIN)/clang-format -i

# The core under AddressSanitizer + UBSan, and under ThreadSanitizer.
asan tsan: $(VENV)/.env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake --preset $@
	$(BIN)/cmake --build --preset $@
	$(BIN)/ctest --preset $@ -j $(JOBS)

# A manylinux wheel for each CPython that is here, in dist/; each in an environment of its own; their
# ops under the oldest torch, which takes a download of 0.9 GB.
wheel: $(VENV)/.env
	BIN=$(BIN) BUILD=$(VENV)/build/wheels JOBS=$(JOBS) bash tools/build_wheels.sh

test-wheel: $(VENV)/.env
	BIN=$(BIN) bash tools/try_wheels.sh

test-oldest-torch: $(VENV)/.env
	BIN=$(BIN) bash tools/try_oldest_torch.sh $(VENV)/build/wheels/installed/truetile/_lib

# The core and the CPU kernels by MinGW-w64, tested under Wine; skipped out loud where these lack.
test-windows: $(VENV)/.env
	BIN=$(BIN) JOBS=$(JOBS) bash tools/test_windows.sh

test-comfyui: $(VENV)/.native
	COMFYUI_DIR="$(COMFYUI_DIR)" COMFYUI_PYTHON="$(COMFYUI_PYTHON)" $(BIN)/pytest tests/comfyui $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) demo
