FROM scratch
COPY --chown=: a /
COPY --chown=a:b:c a /
COPY --chown=4294967295 a /
