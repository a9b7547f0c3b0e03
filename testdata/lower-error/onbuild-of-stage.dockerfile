FROM scratch AS base
ONBUILD COPY --from=after a /
FROM base
FROM scratch AS after
FROM scratch
COPY --from=1 / /
