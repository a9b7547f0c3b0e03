#: platform linux/amd64
#: platform linux/arm64
ARG GO=1.22
FROM --platform=$BUILDPLATFORM golang:$GO-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app ./cmd/app

FROM images.example/static:nonroot
COPY --link --from=build /out/app /app
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/app"]
