#: target last
FROM $NOTHING
FROM debian AS a
COPY --from=9 / /
FROM scratch AS last
