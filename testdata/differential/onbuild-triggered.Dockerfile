FROM busybox AS one
ONBUILD RUN echo x > /x
FROM one
RUN echo y > /y
