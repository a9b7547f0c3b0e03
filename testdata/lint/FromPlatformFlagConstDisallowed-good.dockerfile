FROM --platform=linux/amd64 alpine AS build-amd64
FROM --platform=linux/arm/v7 alpine AS linux-tools
FROM --platform=$BUILDPLATFORM alpine
