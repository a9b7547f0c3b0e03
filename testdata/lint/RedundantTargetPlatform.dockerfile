FROM --platform=$TARGETPLATFORM alpine AS one
FROM --platform=${TARGETPLATFORM} alpine
