#: build-arg VARIANT=-slim
#
ARG IMAGE=alpine
ARG VARIANT
FROM $IMAGE AS one
FROM debian:12$VARIANT
