ARG BASE=scratch
FROM ${BASE}
COPY files/a /a
