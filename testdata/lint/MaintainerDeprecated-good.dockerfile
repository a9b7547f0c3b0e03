FROM scratch
LABEL org.opencontainers.image.authors="Ada <ada@example.org>"
