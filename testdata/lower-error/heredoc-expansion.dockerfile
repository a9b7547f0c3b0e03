FROM scratch
COPY <<EOF /a
${X:?nothing}
EOF
