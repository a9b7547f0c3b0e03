FROM busybox
COPY --chown=app files/a /dst/a
