FROM alpine AS debian
FROM debian
RUN in alpine
