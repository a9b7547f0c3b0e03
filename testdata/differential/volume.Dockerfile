FROM busybox
VOLUME /data /more
VOLUME ["/json"]
