FROM scratch
COPY files/[ab] /dst/
