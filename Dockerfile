# The service as an image: docker build -t sayso . && docker run --env-file .env -v ./policy.yaml:/etc/sayso/policy.yaml:ro sayso
# Where you deploy, pin the base by digest: FROM python:3.13-slim-bookworm@sha256:…

FROM python:3.13-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /app
# Exactly the versions and hashes of the lock file, in a layer that only a change of it rebuilds.
COPY pyproject.toml uv.lock ./
COPY sdk/pyproject.toml sdk/
RUN uv sync --frozen --no-dev --extra otlp --no-install-workspace
COPY approvals/ approvals/
COPY storage/ storage/
COPY handlers/ handlers/
COPY bot/ bot/
RUN .venv/bin/python -m compileall -q approvals storage handlers bot

FROM python:3.13-slim-bookworm
# A number, so that Kubernetes can see that it is not root. The state directory holds the signing key and the sealed heads.
RUN useradd --uid 10001 --home-dir /var/lib/sayso --create-home --shell /usr/sbin/nologin sayso
WORKDIR /app
COPY --from=build /app/ ./
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SAYSO_HOST=0.0.0.0 \
    SAYSO_PORT=8080 \
    SAYSO_POLICY=/etc/sayso/policy.yaml \
    SAYSO_STATE=/var/lib/sayso
USER 10001
VOLUME /var/lib/sayso
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"SAYSO_PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "bot"]
CMD ["serve"]
