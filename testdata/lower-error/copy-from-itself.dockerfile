FROM debian AS build
COPY --from=build / /
