FROM debian:
FROM host:x/a
FROM a@sha256:12
FROM a//b
