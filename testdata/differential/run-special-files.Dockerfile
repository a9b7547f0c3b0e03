FROM busybox
RUN mkfifo /pipe && ln /bin/busybox /hard && ln -s /nowhere /soft
