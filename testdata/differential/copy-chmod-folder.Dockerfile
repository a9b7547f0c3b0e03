FROM busybox
COPY --chmod=750 files /dst
