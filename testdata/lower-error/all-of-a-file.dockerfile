# syntax=docker/dockerfile:1
FROM debian AS base
COPPY a /
COPY --chmod=888 a /
VOLUME $HOME_OF_IMAGE
RUN --mount=type=bnid,target=. make
FROM scratch
COPY --from=base /a /
COPY --from=7 /a /
EXPOSE http
ENV A
STOPSIGNAL $A
