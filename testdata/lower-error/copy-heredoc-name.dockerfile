FROM scratch
COPY <<a/b /
x
a/b
