#: platform linux/amd64
#: platform linux/arm64
FROM scratch
WORKDIR /app
COPY a b/
COPY --link c d/
