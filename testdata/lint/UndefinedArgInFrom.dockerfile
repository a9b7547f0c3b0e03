ARG BASE_TAG=1
FROM --platform=$BULIDPLATFORM alpine:$BASETAG AS one
FROM alpine:3$something
