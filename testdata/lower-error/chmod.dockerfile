FROM scratch
COPY --chmod=888 a /
COPY --chmod=u=q a /
ADD --chmod=10000 a /
