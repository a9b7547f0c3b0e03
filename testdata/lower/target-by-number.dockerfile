#: target 0
FROM debian
RUN make
FROM scratch
