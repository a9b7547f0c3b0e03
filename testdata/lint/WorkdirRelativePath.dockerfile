FROM scratch AS first
WORKDIR app/src
WORKDIR further

FROM alpine
ARG place=here
WORKDIR $place
