FROM scratch
COPY archive.tar /dst/
