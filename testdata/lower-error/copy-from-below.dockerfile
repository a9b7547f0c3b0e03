FROM scratch AS a
COPY --from=b / /
COPY --from=2 / /
FROM scratch AS b
FROM scratch
