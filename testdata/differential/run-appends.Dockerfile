FROM busybox
RUN echo 1 > /a
RUN echo 2 >> /a
