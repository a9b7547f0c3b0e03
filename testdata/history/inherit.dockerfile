FROM scratch AS base
ENV PATH=/only A=1
LABEL l=base m=base
EXPOSE 1
VOLUME /v
WORKDIR /base
USER me
FROM base AS mid
FROM mid
LABEL l=top
EXPOSE 2
VOLUME /u
ENV A=2 Z=3
