FROM scratch
ARG HOST=example.org
ARG SUM=sha256:0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef
WORKDIR /app
ADD https://$HOST/dir/file.tar.gz?x=1#y lib/
ADD --checksum=$SUM --chmod=755 --chown=1 https://user:secret@$HOST/tool /usr/bin/tool
ADD --unpack=true --link https://$HOST/archive%20one.tar.xz /opt
ADD a.tar https://$HOST/ b.tar git@$HOST:x/y.git /all/
