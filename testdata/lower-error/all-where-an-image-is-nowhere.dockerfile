#: nowhere gone
#: nowhere lost
FROM gone AS base
COPY --chmod=888 a /
VOLUME $HOME_OF_IMAGE
ENV PORT=$BASE_PORT KNOWN=http
EXPOSE $PORT
EXPOSE $KNOWN
RUN --mount=type=bind,target=. make
FROM base
STOPSIGNAL nothing
COPY --from=lost a /
