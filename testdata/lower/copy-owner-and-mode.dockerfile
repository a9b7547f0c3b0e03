FROM debian
ARG OWNER=app:web
COPY --chown=$OWNER --chmod=0755 a /a
COPY --chown=root:0 --chmod=a-w a /b
COPY --chown= --chmod= a /c
COPY --chown=4294967294 a /d
