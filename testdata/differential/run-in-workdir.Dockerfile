FROM busybox
WORKDIR /w/x
RUN echo $PWD > here
