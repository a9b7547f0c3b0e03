FROM scratch
ARG TARGETARCH=sparc
RUN ["make"]
