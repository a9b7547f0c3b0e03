#: target build
FROM scratch
