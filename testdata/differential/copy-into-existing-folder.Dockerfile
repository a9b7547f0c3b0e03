FROM busybox
RUN mkdir -m 700 /dst && touch /dst/kept
COPY files /dst
