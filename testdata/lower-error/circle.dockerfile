FROM scratch AS a
COPY --from=b / /
FROM a AS b
FROM scratch
COPY --from=b / /
