FROM scratch AS one
COPY a /a
FROM scratch
COPY --from=one /a /b
COPY --from=0 /a /c
