FROM scratch AS base
ONBUILD ENV A=1
ONBUILD COPY a /from-trigger
FROM base
ENV B=2
