FROM busybox
ENV D=/x/y
WORKDIR $D/z
