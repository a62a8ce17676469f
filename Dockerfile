# atp-gateway for a team: one process, one data volume, no root.
#
#   docker build -t atp-gateway .
#   docker run -p 127.0.0.1:8787:8787 -v atp-gateway:/data -v ./toolkits:/toolkits:ro -v ./config:/config:ro \
#     -e ATP_GATEWAY_CONFIG=/config/gateway.toml atp-gateway
#
# It listens on every address of the container, so it starts only once access is configured: [access], [server]
# public_url and [vault] key_file, and [toolkits] load, in that gateway.toml or as variables. See docs/access.md.

FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/atp-gateway
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY toolkits toolkits
# The lock is the tests' too; as constraints it pins what the gateway needs and leaves the rest out.
RUN sed 's/ --hash=[^ ]*//; s/ *\\$//; /^ *--hash/d; /^ *$/d' requirements.lock > constraints.txt \
    && /opt/atp-gateway/bin/pip install --constraint constraints.txt '.[postgres]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home gateway && install -d -o gateway -g gateway -m 700 /data
COPY --from=build /opt/atp-gateway /opt/atp-gateway
ENV PATH=/opt/atp-gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_DATA_HOME=/data \
    ATP_GATEWAY_DATABASE_URL=sqlite:////data/gateway.db \
    ATP_GATEWAY_SERVER_HOST=0.0.0.0
USER gateway
VOLUME /data
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8787/healthz', timeout=2)"]
ENTRYPOINT ["atp-gateway"]
CMD ["serve"]
