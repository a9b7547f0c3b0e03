FROM busybox
RUN mkdir -p /d/e && touch /d/e/f
RUN rm -r /d
