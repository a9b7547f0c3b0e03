FROM busybox AS build
WORKDIR /src
COPY files/a .
RUN cat a a > out
FROM scratch
COPY --from=build /src/out /app
ENTRYPOINT ["/app"]
