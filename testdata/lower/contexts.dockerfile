#: context Assets files
#: context docker.io/library/alpine:latest mirror.example/alpine:3
#: context tools::linux/arm64 files
#: context replaced registry.example/other
#: image registry.example/other {"Env": ["PATH=/other"], "OnBuild": ["RUN never"]}
#: context empty scratch
FROM none AS replaced
RUN never
FROM scratch AS empty
COPY never /
FROM alpine AS one
COPY --from=assets /a /a
COPY --from=tools /b /b
COPY --from=empty /c /c
FROM assets
FROM replaced
COPY --from=one / /one
COPY --from=3 / /files
