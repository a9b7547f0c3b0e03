FROM scratch
COPY files/a /
