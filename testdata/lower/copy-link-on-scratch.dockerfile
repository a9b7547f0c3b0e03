FROM scratch
COPY --link a /b
COPY --link c /d
