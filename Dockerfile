# syntax=docker/dockerfile:1
# The backend on a processor; with --build-arg TORCH=cu126 for NVIDIA GPUs (see docs/how-to/docker.md).
FROM python:3.12-slim-bookworm AS build
# Which of PyTorch's own package indexes torch comes from: cpu, cu126, cu128, …
ARG TORCH=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /app/venv
WORKDIR /src
# What is large and changes seldom is a layer of its own.
COPY constraints.txt ./
RUN /app/venv/bin/pip install --constraint constraints.txt \
        --index-url "https://download.pytorch.org/whl/${TORCH}" \
        --extra-index-url https://pypi.org/simple torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /app/venv/bin/pip install --constraint constraints.txt ".[postgresql]"

FROM python:3.12-slim-bookworm
RUN groupadd --gid 1000 timelinelabels \
    && useradd --uid 1000 --gid 1000 --create-home timelinelabels \
    && mkdir -p /app/models /app/cache_dir \
    && chown timelinelabels:timelinelabels /app/models /app/cache_dir
COPY --from=build /app/venv /app/venv
ENV PATH=/app/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MODEL_ROOT=/app/models \
    CACHE_DIR=/app/cache_dir
USER 1000:1000
WORKDIR /app
VOLUME ["/app/models", "/app/cache_dir"]
EXPOSE 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '9090') + '/health', timeout=4)"]
ENTRYPOINT ["timelinelabels"]
CMD ["serve"]
