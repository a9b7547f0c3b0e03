FROM busybox
ADD --chown=12:34 archive.tar /dst/
