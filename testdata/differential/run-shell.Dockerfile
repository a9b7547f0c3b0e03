FROM busybox
RUN echo a > /a && echo b >> /a
