# Debian with a C compiler, from the trees that `examples/demo/run` unpacks.
FROM scratch
ARG TARGETARCH
ADD debian-${TARGETARCH}.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["sh"]
