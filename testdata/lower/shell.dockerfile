FROM debian
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN a | b
CMD serve
HEALTHCHECK CMD check
