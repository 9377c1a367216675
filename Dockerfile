# The server in a small image: built from source, run by a user of its own, over a volume.
#
#   docker build -t lookalike .
#   docker run -p 127.0.0.1:6333:6333 -v lookalike:/data -e LOOKALIKE_API_KEY=... lookalike
#
# A container listens on all of its addresses, so the server wants a key; LOOKALIKE_INSECURE=true does without.
FROM rust:1.90-slim-trixie AS build
# A C++ compiler for the tokenizer's regular expressions and the allocator.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential=12.12 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The toolchain of the image, whatever rust-toolchain.toml asks a developer for.
ENV RUSTUP_TOOLCHAIN=1.90
ARG LOOKALIKE_COMMIT=unknown
RUN --mount=type=cache,target=/src/target --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked \
    && install -D target/release/lookalike /out/lookalike

FROM debian:trixie-slim
RUN useradd --system --uid 6333 --no-create-home --shell /usr/sbin/nologin lookalike \
    && install -d -o lookalike -g lookalike /data
COPY --from=build /out/lookalike /usr/local/bin/lookalike
COPY LICENSE /usr/share/doc/lookalike/LICENSE
COPY samples/README.md /usr/share/doc/lookalike/samples.md
COPY models/bundled/README.md /usr/share/doc/lookalike/model.md
USER 6333:6333
ENV LOOKALIKE_HOST=0.0.0.0 LOOKALIKE_DATA_DIR=/data LOOKALIKE_MODEL_CACHE=/data/models
VOLUME /data
EXPOSE 6333
# Ctrl-C and `docker stop` are a clean stop.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["lookalike", "health"]
ENTRYPOINT ["lookalike"]
CMD ["serve"]
