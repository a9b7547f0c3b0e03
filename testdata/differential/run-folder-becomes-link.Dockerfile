FROM busybox
RUN mkdir /x && touch /x/y
RUN rm -r /x && ln -s tmp /x
