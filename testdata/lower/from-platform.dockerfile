#: platform linux/amd64
#: platform linux/arm64
FROM --platform=linux/s390x debian AS fixed
RUN fixed
FROM --platform=${TARGETPLATFORM} debian
COPY --from=fixed / /f
RUN each
