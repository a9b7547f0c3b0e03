FROM scratch
COPY empty /empty
