FROM busybox
RUN mkdir -m 777 /d
USER app
RUN id -u > /d/uid && id -g > /d/gid
