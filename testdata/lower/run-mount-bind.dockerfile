#: image tool {"Env": ["PATH=/bin"]}
FROM debian AS build
RUN make /out
FROM debian
WORKDIR /src
ARG CFG=conf
RUN --mount=target=. \
    --mount=type=bind,src=$CFG/app.toml,dst=/etc/app.toml,rw \
    --mount=from=build,source=/out,target=/out \
    --mount=from=tool,target=/tool,readonly make
