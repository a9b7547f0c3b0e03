FROM scratch AS build
FROM Built
FROM Debian:latest
