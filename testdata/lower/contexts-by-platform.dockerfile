#: platform linux/amd64
#: platform linux/arm64
#: context tools::linux/arm64 scratch
#: context tools files
FROM scratch
COPY --from=tools /a /a
