FROM busybox AS one
RUN mkdir /d && echo 1 > /d/a && ln -s a /d/l
FROM scratch
COPY --from=one /d /d
