# Both programs: `docker build --target app-http .` and `docker build --target app-worker .`.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The image's gcc is all that the parts in C need: SQLite, mimalloc, aws-lc, ring. What was built before is in the caches.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo cargo build --release --locked -p app-http -p app-worker --features app-http/otlp,app-worker/mongodb,app-worker/otlp \
    && install -D -t /out target/release/app-http target/release/app-worker

FROM debian:bookworm-slim AS runtime
# For an AI service, a webhook, a Redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin --no-log-init chatcore \
    && install -d -o chatcore -g chatcore /data
# Open to everybody, so nothing is eased: `-e DEBUG=true` is for a try.
ENV HOST=0.0.0.0 DATA_DIR=/data DEBUG=false
WORKDIR /data
VOLUME /data
USER 10001:10001

FROM runtime AS app-worker
COPY --from=build /out/app-worker /usr/local/bin/
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["app-worker", "--check-health"]
ENTRYPOINT ["app-worker"]

# The last one, so that it is what `docker build .` makes.
FROM runtime AS app-http
COPY --from=build /out/app-http /usr/local/bin/
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["app-http", "--check-health"]
ENTRYPOINT ["app-http"]
