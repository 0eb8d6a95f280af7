# One image for every role; `--build-arg RUNTIME=gpu` takes onnxruntime-gpu with CUDA as wheels.
FROM python:3.11-slim-bookworm AS build
ARG RUNTIME=cpu
WORKDIR /app
COPY locks ./locks
RUN python3 -m venv /venv \
 && if [ "$RUNTIME" = gpu ]; then lock=locks/run-gpu.txt; else lock=locks/run.txt; fi \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r locks/build.txt -r "$lock"
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY cac ./cac
COPY triage ./triage
COPY service ./service
COPY worker ./worker
COPY cli ./cli
COPY alembic ./alembic
COPY models ./models
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable . \
 && /venv/bin/python -m compileall -q cac triage service worker cli alembic

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /home/triage triage && install -d -o triage -g triage /data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER triage
# Inside a container only what is published can be reached, so the roles listen on every address of it.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CAC_TRIAGE_HOME=/data CAC_TRIAGE_DICOM_HOST=0.0.0.0 CAC_TRIAGE_HTTP_HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1
VOLUME /data
EXPOSE 11112 8080
ENTRYPOINT ["cac-triage"]
CMD ["up"]
