#: image registry.example/base {"OnBuild": ["COPY $stray /", "CMD here"]}
#
FROM scratch AS base
ONBUILD WORKDIR relative
ONBUILD ENV token=1

FROM base AS next

FROM registry.example/base
COPY --from=next / /
