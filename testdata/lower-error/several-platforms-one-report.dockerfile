#: platform linux/amd64
#: platform linux/arm64
FROM scratch
COPY --chmod=9 a /
ARG TARGETARCH
COPY --chmod=$TARGETARCH a /
