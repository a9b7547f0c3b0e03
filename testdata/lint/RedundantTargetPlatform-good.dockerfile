FROM alpine AS one
FROM --platform=$BUILDPLATFORM alpine AS two
FROM --platform=$TARGETOS/$TARGETARCH alpine
