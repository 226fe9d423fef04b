# Inlier's images. The default target is a microservice that is trained while the image is built:
#
#   docker build -t inne .                                                  iNNE on generated data
#   docker build --build-arg FEATURES=data/mine.csv -t mine .               iNNE on a file of this folder
#   docker build --build-arg DETECTOR=dbscan --build-arg 'PARAMETERS={"min_samples": 10}' -t dbscan .
#
# scripts/build-image takes files from anywhere. Other targets:
#
#   stock    the microservice without a model: it serves the one that is mounted at /mnt/models, or that INLIER_MODEL names
#   proxy    proxy, worker, reaper and migrate, by command
#   seldon   the same trained model under the genuine wrapper of Seldon Core 1.17.1 (Python 3.11)

ARG PYTHON=3.12
# Of every source file of ours: numba keeps a kernel for a file of one time and size, and several stages hold that file.
ARG SOURCE_TIME=2020-01-01T00:00:00Z

FROM python:${PYTHON}-slim-bookworm AS base
# Kernels are compiled here and loaded everywhere, so for a processor that every node has (x86-64-v3: 2013 and later) and not
# for the one that builds. x86-64-v4 is faster where all nodes have AVX-512; on arm64 say neoverse-n1.
ARG CPU=x86-64-v3
ENV NUMBA_CPU_NAME=${CPU} NUMBA_CPU_FEATURES=
ENV PATH=/opt/inlier/bin:$PATH \
    NUMBA_CACHE_DIR=/opt/kernels \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Python's images come without the bytecode of its library: each start and each check of health would compile it again.
RUN python -m compileall -q -x '/(ensurepip|idlelib|lib2to3|site-packages|tkinter|turtledemo)/' "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
LABEL org.opencontainers.image.title="Inlier" \
      org.opencontainers.image.description="Prepackaged anomaly detectors" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

# What is locked, in a virtual environment without pip.
FROM base AS locked
COPY requirements/microservice.txt /tmp/
RUN python -m venv --without-pip /opt/inlier \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --only-binary :all: --require-hashes -r /tmp/microservice.txt \
 && find /opt/inlier -type d -name tests -prune -exec rm -rf {} +

# The project, which changes more often, as a layer of its own over what is locked.
FROM locked AS project
ARG SOURCE_TIME
COPY setup.py pyproject.toml /src/
COPY detectors /src/detectors
COPY training /src/training
COPY serving /src/serving
# The description, which setup.py reads, changes often and is for a registry of packages.
RUN touch /src/README.md && cp -r /src /tmp/build \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --no-deps --no-build-isolation --no-compile --root /project /tmp/build \
 && find /project -name '*.py' -exec touch -d "$SOURCE_TIME" {} + \
 && python -m compileall -q -s /project /project/opt/inlier/lib/python*/site-packages

# setuptools has built the project; nothing needs it any more.
FROM locked AS lean
RUN /usr/local/bin/python -m pip --python /opt/inlier/bin/python uninstall --quiet --yes setuptools \
 && rm -rf /opt/inlier/lib/python*/site-packages/*/test

FROM base AS bare
COPY --from=lean /opt/inlier /opt/inlier

# Kernels, compiled from detectors/ alone, at the place and of the time that the installed ones have: only a change there
# compiles them anew.
FROM bare AS kernels
ARG SOURCE_TIME
COPY detectors /tmp/detectors
RUN cp -r /tmp/detectors /opt/inlier/lib/python*/site-packages/ \
 && find /opt/inlier/lib/python*/site-packages/detectors -name '*.py' -exec touch -d "$SOURCE_TIME" {} + \
 && python -m detectors.warm

FROM bare AS runtime
COPY --from=project /project/opt/inlier /opt/inlier

# Every kernel of every detector: what training, the search by labels, and the way a server scores add.
FROM runtime AS warm
COPY --from=kernels /opt/kernels /opt/kernels
RUN python -m serving.warm

FROM warm AS train
ARG DETECTOR=inne
# Files of the build context; without FEATURES the detector is trained on generated data of its kind.
ARG FEATURES=
ARG LABELS=
# The detector's own, as one JSON object.
ARG PARAMETERS=
ARG SEED=0
COPY requirements/train.txt /tmp/
RUN case "$FEATURES $LABELS" in \
      *.parquet*) /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --only-binary :all: --require-hashes -r /tmp/train.txt ;; \
    esac
COPY . /context
WORKDIR /context
RUN mkdir /model \
 && if [ -n "$FEATURES" ]; then set -- --features "$FEATURES" ${LABELS:+--labels "$LABELS"}; else set -- --synthetic demo; fi \
 && inlier train --detector "$DETECTOR" --seed "$SEED" --parameters "${PARAMETERS:-{\}}" "$@" --out /model/model.pkl \
 && python -P -c "from serving.models import serve_file; print(f'serving.models.{type(serve_file(\"/model/model.pkl\")).__name__}')" >/model/class

FROM runtime AS serve
ENV PREDICTIVE_UNIT_HTTP_SERVICE_PORT=9000 \
    PREDICTIVE_UNIT_GRPC_SERVICE_PORT=5000 \
    PREDICTIVE_UNIT_METRICS_SERVICE_PORT=6000
USER 10001:10001
EXPOSE 9000 5000 6000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:%s/health/status' % (os.environ.get('INLIER_SERVE_PORT') or os.environ['PREDICTIVE_UNIT_HTTP_SERVICE_PORT']), timeout=2)"]
ENTRYPOINT ["inlier", "serve", "--host", "0.0.0.0"]

FROM serve AS stock
COPY --from=warm /opt/kernels /opt/kernels

FROM serve AS microservice
COPY --from=train /opt/kernels /opt/kernels
COPY --from=train /model /model

# What proxy and worker need besides: drivers of databases, brokers and buckets, charts, the cluster's client.
FROM locked AS proxy-locked
COPY requirements/proxy.txt /tmp/
RUN /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --only-binary :all: --require-hashes -r /tmp/proxy.txt \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python uninstall --quiet --yes setuptools \
 && find /opt/inlier -type d -name tests -prune -exec rm -rf {} +
RUN rm -rf /opt/inlier/lib/python*/site-packages/*/test

FROM base AS proxy
COPY --from=proxy-locked /opt/inlier /opt/inlier
COPY --from=project /project/opt/inlier /opt/inlier
COPY --from=warm /opt/kernels /opt/kernels
# It listens on every network of the container, so it asks for keys.
ENV INLIER_HOST=0.0.0.0 \
    INLIER_PORT=8000 \
    INLIER_PROXY_ACCESS=keys \
    INLIER_HOME=/var/lib/inlier \
    INLIER_TASK_PROBE_FOLDER=/tmp/inlier/probe \
    MPLCONFIGDIR=/tmp/matplotlib
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/inlier
USER 10001:10001
WORKDIR /var/lib/inlier
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["inlier", "alive"]
ENTRYPOINT ["inlier"]
CMD ["proxy"]

# The genuine wrapper needs older versions of nearly everything, and an older Python.
FROM python:3.11-slim-bookworm AS seldon-base
ARG CPU=x86-64-v3
ENV NUMBA_CPU_NAME=${CPU} NUMBA_CPU_FEATURES=
ENV PATH=/opt/inlier/bin:$PATH \
    NUMBA_CACHE_DIR=/opt/kernels \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN python -m compileall -q -x '/(ensurepip|idlelib|lib2to3|site-packages|tkinter|turtledemo)/' "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
LABEL org.opencontainers.image.title="Inlier under Seldon Core's wrapper" \
      org.opencontainers.image.description="A trained anomaly detector, served by seldon-core-microservice 1.17.1" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"

FROM seldon-base AS seldon-locked
COPY requirements/seldon.txt /tmp/
RUN python -m venv --without-pip /opt/inlier \
 && /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --require-hashes -r /tmp/seldon.txt \
 && find /opt/inlier -type d -name tests -prune -exec rm -rf {} +

FROM seldon-locked AS seldon-project
COPY --from=project /src /tmp/build
RUN /usr/local/bin/python -m pip --python /opt/inlier/bin/python install --no-cache-dir --quiet --no-deps --no-build-isolation --no-compile --root /project /tmp/build \
 && python -m compileall -q -s /project /project/opt/inlier/lib/python*/site-packages

FROM seldon-base AS seldon
COPY --from=seldon-locked /opt/inlier /opt/inlier
COPY --from=seldon-project /project/opt/inlier /opt/inlier
COPY --from=train /model /model
RUN python -c "from serving.models import serve_file; serve_file('/model/model.pkl')"
ENV PREDICTIVE_UNIT_HTTP_SERVICE_PORT=9000 \
    PREDICTIVE_UNIT_GRPC_SERVICE_PORT=5000 \
    PREDICTIVE_UNIT_METRICS_SERVICE_PORT=6000
USER 10001:10001
# The wrapper writes sockets and heartbeats to /tmp.
WORKDIR /tmp
EXPOSE 9000 5000 6000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:%s/health/ping' % os.environ['PREDICTIVE_UNIT_HTTP_SERVICE_PORT'], timeout=2)"]
ENTRYPOINT ["sh", "-c", "exec seldon-core-microservice \"${MODEL_NAME:-$(cat /model/class)}\" --service-type MODEL \"$@\"", "seldon"]

# The default.
FROM microservice
