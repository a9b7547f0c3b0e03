FROM busybox
COPY --chown=app:app files/a /dst/a
