FROM scratch
COPY files/*.txt /dst/
