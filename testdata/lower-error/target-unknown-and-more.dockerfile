#: target tset
FROM scratch AS test
EXPOSE http
