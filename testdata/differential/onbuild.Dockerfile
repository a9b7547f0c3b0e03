FROM busybox
ONBUILD RUN echo x
ONBUILD COPY files/a /a
