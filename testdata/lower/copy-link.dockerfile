FROM debian
RUN true
COPY --link a /b
COPY --link --chown=app:1 a /c
COPY --link --chown=1:1 --chmod=u=rwX,go=rX --from=busybox a /d
COPY --link <<EOF /e
text
EOF
