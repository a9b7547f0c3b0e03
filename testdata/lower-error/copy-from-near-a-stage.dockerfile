FROM scratch AS builder
FROM scratch
COPY --from=Buildr / /
