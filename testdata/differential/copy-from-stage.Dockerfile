FROM busybox AS one
RUN mkdir /d && echo 1 > /d/a && chmod 600 /d/a && chown 5:6 /d/a
FROM scratch
COPY --from=one /d /e
