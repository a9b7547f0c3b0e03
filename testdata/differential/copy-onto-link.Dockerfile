FROM busybox
RUN mkdir /real && ln -s /real /link
COPY files/a /link/
