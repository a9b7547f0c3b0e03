FROM scratch
ADD archive.tar.gz /dst/
