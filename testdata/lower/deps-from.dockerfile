#: platform linux/amd64
#: platform linux/arm64
#: context shared files
FROM --platform=$BUILDPLATFORM debian AS locks
ARG TARGETARCH
DEPS node package-lock.json
RUN resolve $TARGETARCH >/requirements.txt

FROM debian
DEPS python --python=3.11 --from=locks requirements.txt
DEPS python --python=3.11 --from=shared requirements.txt
DEPS node --from=other/image package-lock.json
