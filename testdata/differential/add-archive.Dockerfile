FROM scratch
ADD archive.tar /dst/
