FROM scratch
ARG NAME=a
COPY files/$NAME /$NAME
