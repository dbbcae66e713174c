# The container images of Millrace. Targets: broker (the default), operator for Kubernetes, and tools with Kafka's command lines
# for people.
# BASE may be any Debian 12 image with apt; scripts/image makes one from packages where no registry can be reached.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS tree
WORKDIR /src
COPY scripts/lib/common.sh scripts/lib/packages.sh scripts/lib/
# Packages first: this layer stays while the sources change.
RUN bash -c '. scripts/lib/common.sh && . scripts/lib/packages.sh && install_packages build'
COPY . .

FROM tree AS build
# How many compilers run at once; empty: one per processor.
ARG JOBS=
# OFF where a ccache is mounted: what it holds was compiled without.
ARG PRECOMPILE=ON
RUN cmake --preset release -DMILLRACE_PRECOMPILE=${PRECOMPILE} \
    && ninja -C build/release ${JOBS:+-j ${JOBS}} millrace millctl \
    && scripts/lib/collect_runtime.sh /out build/release/bin/millrace build/release/bin/millctl \
    && scripts/lib/assemble_archive.sh /archive build/release/bin
# A tree of its own, so that the folder and not only its content gets the owner.
RUN install -d /volume/data

FROM tree AS build-operator
ARG JOBS=
ARG PRECOMPILE=ON
RUN cmake --preset release -DMILLRACE_PRECOMPILE=${PRECOMPILE} \
    && ninja -C build/release ${JOBS:+-j ${JOBS}} millrace-operator \
    && scripts/lib/collect_runtime.sh /out build/release/bin/millrace-operator

# What scripts/archive packs, with a shell: for trying, for administration, for articles that say bin/kafka-topics.sh.
FROM ${BASE} AS tools
LABEL org.opencontainers.image.title="Millrace tools" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /archive/ /opt/millrace/
ENV PATH=/opt/millrace/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /opt/millrace
CMD ["bash"]

FROM scratch AS operator
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace operator" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build-operator /out/ /
USER 65532:65532
# HTTP: /metrics, /livez, /readyz.
EXPOSE 8080
ENTRYPOINT ["/usr/bin/millrace-operator"]

# Nothing but the programs and the libraries they load: no shell, no package manager.
FROM scratch AS broker
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Millrace broker" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
COPY --from=build --chown=65532:65532 /volume/ /
USER 65532:65532
VOLUME /data
# Kafka, broker to broker, gRPC, HTTP.
EXPOSE 9092 9093 9094 9644
ENTRYPOINT ["/usr/bin/millrace"]
CMD ["--data", "/data", "--kafka.listen=0.0.0.0:9092", "--internal.listen=0.0.0.0:9093", "--grpc.listen=0.0.0.0:9094", "--http.listen=0.0.0.0:9644"]
