# syntax=docker/dockerfile:1
# check=skip=JSONArgsRecommended

# The version of the base.
ARG VERSION=3 FLAVOUR
FROM --platform=$BUILDPLATFORM example.com/base:${VERSION} AS Build
MAINTAINER Someone <someone@example.com>
LABEL short=yes "long name"="a b"
LABEL legacy some text
ENV A=1 B="two words" C=three\ words
ENV D all of "this"
WORKDIR /src dir
USER app:app
EXPOSE 80 443/tcp
VOLUME /data /logs
VOLUME ["/with space"]
SHELL ["/bin/sh", "-ec"]
STOPSIGNAL SIGTERM
RUN --mount=type=cache,target=/c --network=none make all
RUN ["make", "install"]
RUN [ -f made ] && true
COPY --from=build --chown=1:2 --link a b /dest/
COPY ["a b", "/dest"]
ADD --checksum=sha256:00 --keep-git-dir=false https://example.com/x /x
HEALTHCHECK --interval=1m30s --retries=3 CMD curl localhost
HEALTHCHECK NONE
ONBUILD COPY --from=0 a b
ENTRYPOINT ["app"]
ENTRYPOINT []
CMD serve --port 80
from scratch
copy --from=build /x /x
