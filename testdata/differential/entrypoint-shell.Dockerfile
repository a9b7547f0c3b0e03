FROM busybox
ENTRYPOINT echo hello
