FROM busybox
RUN mkdir /d && touch /d/a /d/b
RUN rm /d/a
