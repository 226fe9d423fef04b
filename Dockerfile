# Inlier's images. The default target is a microservice that is trained while the image is built:
#
#   docker build -t inne .                                                  iNNE on generated data
#   docker build --build-arg FEATURES=data/mine.csv -t mine .               iNNE on a file of this folder
#   docker build --build-arg DETECTOR=dbscan --build-arg 'PARAMETERS={"min_samples": 10}' -t dbscan .

ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS base
# Kernels are compiled here and loaded everywhere, so for a processor that every node has (x86-64-v3: 2013 and later) and not
# for the one that builds. x86-64-v4 is faster where all nodes have AVX-512; on arm64 say neoverse-n1.
ARG CPU=x86-64-v3
ENV NUMBA_CPU_NAME=${CPU} NUMBA_CPU_FEATURES=
ENV PATH=/opt/inlier/bin:$PATH \
    NUMBA_CACHE_DIR=/opt/inlier/kernels \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="Inlier" \
      org.opencontainers.image.description="Prepackaged anomaly detectors" \
      org.opencontainers.image.licenses="Apache-2.0"

# What is locked, in a virtual environment without pip; then the project, which changes more often.
FROM base AS install
COPY requirements/microservice.txt /tmp/
RUN python -m venv --without-pip /opt/inlier \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --require-hashes -r /tmp/microservice.txt \
 && find /opt/inlier -type d -name tests -prune -exec rm -rf {} +
COPY setup.py pyproject.toml README.md /src/
COPY detectors /src/detectors
COPY training /src/training
COPY serving /src/serving
RUN cp -r /src /tmp/build \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --no-deps --no-build-isolation /tmp/build \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python uninstall --quiet --yes setuptools \
 && python -m compileall -q /opt/inlier/lib/python*/site-packages/detectors \
      /opt/inlier/lib/python*/site-packages/training /opt/inlier/lib/python*/site-packages/serving

FROM install AS train
ARG DETECTOR=inne
# Files of the build context; without FEATURES the detector is trained on generated data of its kind.
ARG FEATURES=
ARG LABELS=
# The detector's own, as one JSON object.
ARG PARAMETERS=
ARG SEED=0
COPY . /context
WORKDIR /context
RUN mkdir /model \
 && if [ -n "$FEATURES" ]; then set -- --features "$FEATURES" ${LABELS:+--labels "$LABELS"}; else set -- --synthetic demo; fi \
 && inlier train --detector "$DETECTOR" --seed "$SEED" --parameters "${PARAMETERS:-{\}}" "$@" --out /model/model.pkl

FROM base AS microservice
COPY --from=train /opt/inlier /opt/inlier
COPY --from=train /model /model
ENV PREDICTIVE_UNIT_HTTP_SERVICE_PORT=9000 \
    PREDICTIVE_UNIT_GRPC_SERVICE_PORT=5000 \
    PREDICTIVE_UNIT_METRICS_SERVICE_PORT=6000
USER 10001:10001
EXPOSE 9000 5000 6000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/health/status' % os.environ['PREDICTIVE_UNIT_HTTP_SERVICE_PORT'], timeout=2)"]
ENTRYPOINT ["inlier", "serve", "--host", "0.0.0.0"]
CMD ["/model/model.pkl"]
