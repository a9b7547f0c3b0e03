FROM debian AS a
RUN first
FROM a AS b
FROM busybox AS a
RUN second
FROM scratch
COPY --from=b / /b
COPY --from=a / /a
