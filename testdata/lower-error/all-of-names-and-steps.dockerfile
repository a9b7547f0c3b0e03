ARG BASE
FROM scratch AS one
COPY --from=two --chmod=888 a /
FROM $BASE AS two
COPY --from=9 --chmod=888 a /
STOPSIGNAL nothing
FROM one
EXPOSE http
COPY --from=two a /
