#: build-arg VERSION=13
#: build-arg LEVEL=high
#: build-arg UNKNOWN=x
ARG VERSION=12
FROM debian:$VERSION
ARG VERSION=1
ARG LEVEL
ARG NOTHING
RUN make
