FROM scratch
COPY busybox /bin/sh
ARG WHO=world
ARG EMPTY
ENV GREETING=hi
RUN echo $GREETING $WHO > /out
RUN ["/bin/sh", "-c", "echo exec > /exec"]
ARG WHO=again
RUN echo a \
  # comment
  && echo b
SHELL ["/bin/sh", "-e", "-c"]
RUN echo kept > /kept
RUN   touch   /spaced
run touch /lower
