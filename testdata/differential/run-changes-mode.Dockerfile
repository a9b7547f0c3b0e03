FROM busybox
RUN touch /x
RUN chmod 4711 /x
