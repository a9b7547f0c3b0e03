#: ignore *
#: ignore !src
#
FROM scratch
COPY secret.txt /
COPY src /
