FROM scratch
COPY files/a /a
COPY files/a /a
