# What you type is what CI runs. `./run` makes sure of the tools first.

set shell := ["bash", "-euo", "pipefail", "-c"]

# list the recipes
default:
    @just --list --unsorted

# a private PostgreSQL, a live experiment, a page to watch; Ctrl-C leaves nothing behind
demo *ARGS:
    cargo run --quiet --release --bin samplit-server -- demo {{ARGS}}

# everything that has to be green before a change lands
test: fmt clippy doc test-rust

# formatting
fmt:
    cargo fmt --all --check

# lints
clippy:
    cargo clippy --quiet --workspace --all-targets -- -D warnings

# documentation
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps

# all tests, and at the end how many ran
test-rust:
    mkdir -p target
    cargo test --workspace 2>&1 | tee target/test.log
    @awk '/^test result:/ { p += $4; f += $6; i += $8 } END { printf "%d passed, %d failed, %d skipped\n", p, f, i; exit f > 0 }' target/test.log

# every fault of production, in full: ten minutes; writes the table of docs/RELIABILITY.md
faults *ARGS:
    SAMPLIT_FAULTS=long cargo test --quiet -p samplit-tests --test faults -- {{ARGS}}

# each fuzz target for a little while (needs nightly and cargo-fuzz); `just fuzz 600` for longer
fuzz SECONDS="20":
    @cargo +nightly --version >/dev/null 2>&1 || { echo "just fuzz: no nightly compiler; rustup toolchain install nightly" >&2; exit 1; }
    @cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "just fuzz: no cargo-fuzz; cargo install cargo-fuzz" >&2; exit 1; }
    @for target in $(cargo +nightly fuzz list); do cargo +nightly fuzz run "$target" -- -max_total_time={{SECONDS}} -max_len=65536; done

# More than 10,000 cases of Schemathesis against a server of its own.
schemathesis CASES="100":
    SAMPLIT_SCHEMATHESIS={{CASES}} cargo test --quiet -p samplit-http --test it -- schemathesis --nocapture

# what may be linked in (needs cargo-deny)
deny:
    cargo deny check bans licenses sources

# every promised number beside its yardstick, in one run
bench *ARGS:
    cargo build --quiet --release -p samplit-benches -p samplit-server
    "${CARGO_TARGET_DIR:-target}/release/bench" {{ARGS}}

# the statistics held against what they promise, by simulation: minutes, or seconds with --short
coverage *ARGS:
    cargo run --quiet --release -p samplit-benches --bin coverage -- {{ARGS}}

# milliseconds of results and forecasts
bench-reading *ARGS:
    cargo run --quiet --release -p samplit-benches --bin reading -- {{ARGS}}

# milliseconds from the beginning of a page to its variant, in a real browser
snippet-timing:
    cargo test --quiet --release -p samplit-tests --test browser -- --ignored --nocapture time_to_applied_variant

# instructions per operation of the hot path (needs valgrind)
instructions:
    cargo build --quiet --release -p samplit-benches --bin instructions
    @for operation in choose append allocate2 allocate10; do \
        count() { valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/instructions "$1" "$2" 2>&1 | awk '/Collected/ { print $4 }'; }; \
        one=$(count $operation 100); two=$(count $operation 200); \
        echo "$operation $(( (two - one) / 100 )) instructions"; \
    done

# replay recorded tests through the server's own write path
backtest FILE *ARGS:
    cargo run --quiet --release --bin samplit-server -- backtest {{FILE}} {{ARGS}}

# format everything
fix:
    cargo fmt --all
