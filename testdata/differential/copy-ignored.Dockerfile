FROM scratch
COPY ignored /ignored
