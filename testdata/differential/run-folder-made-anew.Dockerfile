FROM busybox
RUN mkdir /d && touch /d/old
RUN rm -r /d && mkdir /d && touch /d/new
