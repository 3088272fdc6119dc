# `make demo` shows it, `make test` proves it. Both do all set-up themselves.

CARGO ?= cargo
# Tools the tests need beside the toolchain; installed once, by exact version.
NEXTEST := 0.9.143
DENY := 0.20.2
ARGS ?=

.PHONY: demo test bench stress fmt lint unit doc portable loom deny smoke tools clean

demo:
	$(CARGO) run --release -q -p phalanx --example cartpole -- $(ARGS)

test: fmt lint unit doc portable loom deny smoke
	@echo "all checks passed"

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
	$(CARGO) build -q --workspace --bins
	$(CARGO) bench -q --profile dev -p phalanx-benches -- --test
	target/debug/phalanx bench --json --seconds 0.02 > target/smoke.jsonl
	@test "$$(wc -l < target/smoke.jsonl)" -eq 12 || { echo "phalanx bench printed too few lines"; exit 1; }
	target/debug/compare --smoke

# Figures for this machine, kept in benches/runs/.
bench:
	$(CARGO) build --release -p phalanx-cli -p phalanx-benches
	target/release/phalanx bench
	target/release/compare --out

# Minutes of what `make test` does for seconds.
stress:
	PHALANX_STRESS_SECS=180 $(CARGO) nextest run -p phalanx-faulty --test stress --no-capture
	PHALANX_CYCLES=10000 $(CARGO) nextest run -p phalanx-faulty --test cycles --no-capture

tools:
	@$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install cargo-nextest --version $(NEXTEST) --locked
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --version $(DENY) --locked

clean:
	$(CARGO) clean
