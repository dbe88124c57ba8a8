# The operator's image: its locked dependencies and itself in one virtual environment, on a plain Python image.
# Any base with Python 3.11 or later, venv and pip will do: --build-arg BASE_IMAGE=...
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements requirements
# Where there is no network, put every wheel into requirements/wheels: then nothing is looked for elsewhere.
RUN if [ -d requirements/wheels ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/src/requirements/wheels; fi \
    && python3 -m venv --without-pip /opt/slurmgate \
    && python3 -m pip --python /opt/slurmgate/bin/python3 install \
        --require-hashes --only-binary :all: --requirement requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN if [ -d requirements/wheels ]; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/src/requirements/wheels; fi \
    && python3 -m pip --python /opt/slurmgate/bin/python3 install --no-deps .

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="slurmgate" \
      org.opencontainers.image.description="Carries JobSubmission resources to bare-metal Slurm clusters over SSH" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/slurmgate /opt/slurmgate
ENV PATH=/opt/slurmgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["slurmgate"]
CMD ["run"]
