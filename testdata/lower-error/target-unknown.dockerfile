#: target 5
FROM scratch AS build
FROM scratch AS test
