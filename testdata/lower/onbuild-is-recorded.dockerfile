FROM debian
ONBUILD RUN echo "$A"
ONBUILD COPY . /app
ONBUILD RUN <<EOF
echo body
EOF
