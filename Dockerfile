# One image, one command for each role: `tocsin serve` runs everything with the embedded store, `tocsin serve notifier` one role.
# To pin the base by digest: docker build --build-arg BASE=python:3.12-slim-bookworm@sha256:... .
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python3 -m venv /opt/tocsin
COPY requirements.lock ./
# Wheels only, each checked by its hash: nothing is compiled and no package runs code of its own here.
RUN /opt/tocsin/bin/pip install --require-hashes --only-binary=:all: --requirement requirements.lock
COPY pyproject.toml LICENSE ./
COPY tocsin tocsin
COPY ingest ingest
COPY correlator correlator
COPY notifier notifier
COPY console console
RUN /opt/tocsin/bin/pip install --no-deps --no-build-isolation --no-index . \
    && /opt/tocsin/bin/pip uninstall --yes pip

FROM ${BASE}
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/tocsin --shell /usr/sbin/nologin tocsin \
    && install -d -o tocsin -g tocsin -m 0700 /var/lib/tocsin
COPY --from=build /opt/tocsin /opt/tocsin
COPY alert_rules.yaml /etc/tocsin/alert_rules.yaml
ENV PATH=/opt/tocsin/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    TOCSIN_CONFIG_FILE=/etc/tocsin/alert_rules.yaml \
    TOCSIN_STORAGE_PATH=/var/lib/tocsin \
    HEALTH_URL=http://127.0.0.1:9096/-/healthy
USER 10001:10001
WORKDIR /var/lib/tocsin
# ingest, console, correlator, notifier. All listen on loopback until TOCSIN_<ROLE>_LISTEN_ADDRESS says otherwise.
EXPOSE 9095 9096 9097 9098
# Alive, not ready: a role whose store is away waits for it, and starting it again would only make it forget for how long.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['HEALTH_URL'], timeout=3)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tocsin"]
CMD ["serve"]
