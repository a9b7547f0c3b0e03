FROM scratch
COPY links /links
