# An image of ketwire. docs/containers.md says how to build it, with an index of packages or without a network.
#
#   BASE    an image with Python 3.11 and its venv module
#   FAST    1: with numba, which scenarios with large circuits need
#   PLOTS   1: with matplotlib, which pages and figures need
#   WHEELS  index: packages come from the index that pip finds; wheelhouse: from the folder wheelhouse/ beside this file
ARG BASE=python:3.11-slim-bookworm
ARG WHEELS=index

FROM ${BASE} AS tools
RUN python3 -m venv --without-pip /opt/ketwire
ENV PIP="python3 -m pip --quiet --disable-pip-version-check"
WORKDIR /build
# Only what says which packages there are: a change of any other file leaves the layers of packages as they are.
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN python3 requirements.py > needed.txt

# Every package as a wheel, on a machine with a network: docker build --target wheelhouse --output wheelhouse .
FROM tools AS fetched
RUN ${PIP} download --only-binary :all: --dest /wheels \
        --constraint constraints.txt --requirement needed.txt numba matplotlib setuptools && \
    ${PIP} download --only-binary :all: --no-deps --dest /wheels \
        --constraint constraints.txt scikit-learn

FROM scratch AS wheelhouse
COPY --from=fetched /wheels /

FROM fetched AS wheels-index
FROM tools AS wheels-wheelhouse
COPY wheelhouse /wheels

FROM wheels-${WHEELS} AS packages
ARG FAST=0
ARG PLOTS=0
RUN ${PIP} --python /opt/ketwire/bin/python install --no-index --find-links /wheels --no-compile \
        --constraint constraints.txt --requirement needed.txt \
        $(test "${FAST}" = 0 || echo numba) $(test "${PLOTS}" = 0 || echo matplotlib) && \
    ${PIP} install --no-index --find-links /wheels --target /tools setuptools && \
    python3 requirements.py --tables /wheels /opt/ketwire && \
    find /opt/ketwire -type d -name tests -prune -exec rm -rf {} + && \
    /opt/ketwire/bin/python -m compileall -q -j 0 /opt/ketwire/lib

FROM packages AS installed
COPY pyproject.toml README.md ./
COPY src src
COPY quantum quantum
COPY channels channels
COPY protocols protocols
COPY nodes nodes
COPY scenarios scenarios
RUN PYTHONPATH=/tools ${PIP} wheel --no-deps --no-build-isolation --wheel-dir /made . && \
    ${PIP} --python /opt/ketwire/bin/python install --no-index --no-deps --no-compile /made/*.whl && \
    /opt/ketwire/bin/python -m compileall -q -j 0 /opt/ketwire/lib
# What numba compiles is kept in the image, since its containers write nowhere.
ENV NUMBA_CACHE_DIR=/opt/ketwire/numba
RUN mkdir -p ${NUMBA_CACHE_DIR} && python3 requirements.py --compile ${FAST}

FROM ${BASE}
RUN install -d -m 700 -o 10001 -g 10001 /checkpoints /runs
COPY --from=installed /opt/ketwire /opt/ketwire
ENV PATH=/opt/ketwire/bin:${PATH} NUMBA_CACHE_DIR=/opt/ketwire/numba MPLCONFIGDIR=/tmp/matplotlib \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["ketwire"]
CMD ["--help"]
