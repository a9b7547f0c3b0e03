FROM busybox
USER app:app
