FROM busybox AS one
RUN echo 1 > /one
FROM scratch
COPY --from=1 /one /copied
