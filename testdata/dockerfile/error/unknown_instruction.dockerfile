FROM scratch
CPOY a b
DEPLOY everything
RNU <<EOF
CPOY inside a heredoc is not an instruction
EOF
COPY a
