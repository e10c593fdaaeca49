# syntax=docker/dockerfile:1
# Two programs in one small image: samplit-server and samplit-migrate. It runs as nobody, with a root
# file system that may be read-only.

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin samplit-server --bin samplit-migrate \
    && install -D --strip -t /out target/release/samplit-server target/release/samplit-migrate

FROM debian:trixie-slim
# Root certificates for TLS to PostgreSQL, pg_dump and pg_restore for backups, curl for the health check.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl postgresql-client \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
USER 65534:65534
ENV SAMPLIT_LISTEN=0.0.0.0:8080 \
    SAMPLIT_OPS_LISTEN=0.0.0.0:9090 \
    SAMPLIT_LOG_FORMAT=json
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--show-error", "--output", "/dev/null", "http://127.0.0.1:9090/livez"]
ENTRYPOINT ["samplit-server"]
CMD ["serve"]
