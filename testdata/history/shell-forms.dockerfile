FROM scratch
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
CMD run | tee
ENTRYPOINT boot
