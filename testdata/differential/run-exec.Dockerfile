FROM busybox
RUN ["touch", "/a file"]
