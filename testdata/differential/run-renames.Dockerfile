FROM busybox
RUN mkdir /d && touch /d/a /d/b
RUN mv /d /e
