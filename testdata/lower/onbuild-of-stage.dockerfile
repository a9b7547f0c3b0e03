FROM debian AS tools
FROM debian AS base
ONBUILD COPY --from=tools /t /t
ONBUILD ENV READY=1
FROM base AS child
RUN child
FROM child
RUN grandchild
