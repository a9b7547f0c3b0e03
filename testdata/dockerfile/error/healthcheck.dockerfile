FROM scratch
HEALTHCHECK --interval=30 CMD x
HEALTHCHECK --timeout=1us CMD x
HEALTHCHECK --start-period=-1s CMD x
HEALTHCHECK --start-interval=soon CMD x
HEALTHCHECK --retries=-1 CMD x
HEALTHCHECK --intervall=1s CMD x
