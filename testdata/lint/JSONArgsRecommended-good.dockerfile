FROM alpine AS exec
ENTRYPOINT ["start"]
CMD ["--serve"]

FROM alpine AS own-shell
SHELL ["/bin/bash", "-c"]
ENTRYPOINT start

FROM own-shell
CMD exec start
