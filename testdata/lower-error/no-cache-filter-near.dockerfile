#: no-cache-filter biuld
FROM scratch AS build
FROM scratch AS test
