#: target Build
FROM debian AS build
ARG TARGETSTAGE
RUN make
FROM scratch AS final
COPY --from=build / /
