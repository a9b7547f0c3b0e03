FROM scratch
COPY a b /x/
COPY --chown=1:2 a /y
ADD a /z
COPY dir /dir/
COPY ["a", "/json"]
WORKDIR /w
COPY a .
copy   a    b   ./
