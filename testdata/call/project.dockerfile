# syntax=docker/dockerfile:1
#: build-arg MODE=fast
#: target web
#
# VERSION of the language
ARG VERSION=3.12
# DISTRO to build on
ARG DISTRO=slim
ARG TAG=$VERSION-$DISTRO UNUSED=1

# base has the language
FROM registry.example/python:$TAG AS base
# PORT to listen on
ARG PORT=80${VERSION:+80}
ENV PORT=$PORT

FROM --platform=$BUILDPLATFORM registry.example/node AS assets
# MODE is fast or small
ARG MODE=small OUT=/out/$MODE
ARG TARGETARCH
COPY --chown=1:1 assets $OUT

FROM registry.example/never-asked AS unused
ARG LOST=1

# web serves it
FROM base AS web
ARG VERSION
COPY --from=assets /out /srv
CMD serve

FROM web
ARG LAST=yes
