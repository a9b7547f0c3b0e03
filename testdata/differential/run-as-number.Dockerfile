FROM busybox
RUN mkdir -m 777 /d
USER 77:88
RUN id -u > /d/uid && id -g > /d/gid
