#: platform linux/amd64
#: platform linux/arm64
FROM --platform=$BUILDPLATFORM golang AS build
COPY . /src
RUN go generate
FROM build AS compile
ARG TARGETARCH
RUN go build
FROM alpine
COPY --from=build /src /src
COPY --from=compile /out /out
