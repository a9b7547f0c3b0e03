#: build-arg HTTP_PROXY=http://proxy.example
#: build-arg no_proxy=localhost
FROM debian
RUN fetch
ARG HTTP_PROXY
RUN fetch
