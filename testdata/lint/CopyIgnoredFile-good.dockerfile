#: ignore secret.*
#: ignore .*
#
FROM scratch AS one
COPY . /all
COPY src /src
COPY <<secret.txt /s
written here
secret.txt

FROM scratch
COPY --from=one secret.txt /
