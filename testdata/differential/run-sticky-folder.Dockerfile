FROM busybox
RUN mkdir -m 1777 /d && mkdir -m 2755 /e
