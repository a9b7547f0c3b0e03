#: platform linux/amd64
FROM debian AS system
RUN install
DEPS apt one
FROM system
DEPS apt two
FROM scratch
DEPS apt three
DEPS apt four
COPY --from=1 / /
