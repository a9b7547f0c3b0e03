FROM scratch
ADD archive.tar.xz /dst/
