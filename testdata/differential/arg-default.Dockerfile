FROM busybox
ARG WHO=world
RUN echo hello $WHO > /hello
