FROM scratch
COPY a b /dest
COPY <<A <<B /dest
A
B
ADD a b c d
