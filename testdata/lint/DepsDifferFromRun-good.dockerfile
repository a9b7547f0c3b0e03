FROM scratch
# Installed by others, unpacked by flashbuild.
# deps: python ./requirements.txt
RUN pip install --no-cache-dir -r requirements.txt
# deps: node --omit=dev package-lock.json
RUN --network=default npm ci --omit=dev && npm cache clean --force
# deps: apt curl git
RUN apt-get update && \
    apt-get install -y git curl && \
    rm -rf /var/lib/apt/lists/*
# deps: python uv.lock
RUN uv sync --frozen
# deps: these are packages for development
RUN make
