#: platform linux/amd64
FROM scratch AS first
COPY a /
FROM 0
