FROM scratch
COPY *.txt /texts/
COPY src/**/[a-c]?.rs docs/* /all/
COPY arr[[]0].txt /one
