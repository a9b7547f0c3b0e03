FROM scratch
ARG NAME=world
COPY <<EOF /hello
Hello "$NAME" and \$NAME
EOF
COPY --chmod=+x --chown=7:8 <<'A' <<-B plain /etc/
raw $NAME
A
	indented
	B
COPY <<R /
root
R
