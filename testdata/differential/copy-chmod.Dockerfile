FROM busybox
COPY --chmod=711 files/a /dst/a
