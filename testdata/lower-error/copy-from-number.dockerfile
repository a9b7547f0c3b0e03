FROM scratch
COPY --from=7 / /
