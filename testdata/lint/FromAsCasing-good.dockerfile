FROM scratch AS base
FROM base AS last
