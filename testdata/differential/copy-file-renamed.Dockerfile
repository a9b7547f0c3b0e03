FROM scratch
COPY files/a /dir/b
