# zenoh-bridge-remote-api from its released crate. The minor version must be that of the client in
# package.json (@eclipse-zenoh/zenoh-ts): their protocol has no version of its own.
FROM rust:1.95-slim-bookworm AS build
RUN cargo install zenoh-bridge-remote-api --version 1.10.2 --locked --root /built

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends netcat-openbsd \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /built/bin/zenoh-bridge-remote-api /usr/local/bin/
USER nobody
ENV RUST_LOG=warn
ENTRYPOINT ["zenoh-bridge-remote-api"]
CMD ["--mode", "peer", "--config", "/etc/skein/zenoh-bridge.json5"]
