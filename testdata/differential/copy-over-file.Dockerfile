FROM busybox
RUN echo old > /a
COPY files/a /a
