FROM alpine
ENTRYPOINT start
CMD serve
