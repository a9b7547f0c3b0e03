FROM busybox AS one
RUN echo 1 > /a
FROM scratch
COPY --from=one /a /b/
