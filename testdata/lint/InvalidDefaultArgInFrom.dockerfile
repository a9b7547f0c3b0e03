#: build-arg IMAGE=alpine
#: build-arg VERSION=3
#
ARG IMAGE
ARG VERSION
FROM $IMAGE AS one
FROM debian:$VERSION
