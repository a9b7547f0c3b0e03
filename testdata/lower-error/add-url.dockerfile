FROM scratch
ARG HOST=example.org
ADD https://$HOST/file /
