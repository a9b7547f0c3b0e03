FROM busybox
RUN touch /x
RUN rm /x && mkdir /x && touch /x/y
