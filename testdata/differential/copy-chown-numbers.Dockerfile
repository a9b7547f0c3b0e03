FROM busybox
COPY --chown=12:34 files /dst
