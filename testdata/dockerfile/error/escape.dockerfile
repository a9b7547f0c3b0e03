# escape=^
# syntax=docker.io/docker/dockerfle:1
FROM scratch
