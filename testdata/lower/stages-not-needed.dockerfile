FROM debian AS unused
RUN --mount=type=cache,target=/c never
FROM busybox AS used
RUN once
FROM scratch
COPY --from=used / /
