#: platform linux/s390x
FROM --platform=$BUILDPLATFORM debian
COPY --from=tools /t /t
RUN t
