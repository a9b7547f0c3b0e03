FROM scratch
COPY files/a files/b /dst/
