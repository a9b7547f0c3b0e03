FROM scratch as base
FROM base AS other
FROM other As last
