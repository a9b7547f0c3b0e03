FROM busybox
SHELL ["/bin/sh", "-e", "-c"]
RUN echo a > /a
CMD b
