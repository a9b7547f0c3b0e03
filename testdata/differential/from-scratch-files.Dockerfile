FROM scratch
COPY files/a /a
