# One image for worker, dashboard and jobs: `docker run driftline worker`.
FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements/streams.lock requirements/streams.lock
RUN python -m venv /opt/driftline && /opt/driftline/bin/pip install --no-cache-dir --require-hashes -r requirements/streams.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY producers producers
COPY streams streams
RUN /opt/driftline/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home /var/lib/driftline --create-home driftline
COPY --from=build /opt/driftline /opt/driftline
ENV PATH=/opt/driftline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DRIFTLINE_LOG_FORMAT=json \
    DRIFTLINE_DATA_DIR=/var/lib/driftline
USER 10001
WORKDIR /var/lib/driftline
ENTRYPOINT ["driftline"]
CMD ["--help"]
