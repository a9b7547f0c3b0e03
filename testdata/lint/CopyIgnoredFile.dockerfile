#: ignore secret.*
#: ignore **/cache
#
FROM scratch
ARG file=secret.txt
COPY $file /
COPY ./a/../secret.key b /x/
ADD web/cache/index.html /
