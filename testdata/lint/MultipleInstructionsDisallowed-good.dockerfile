FROM scratch AS base
ENTRYPOINT ["/one"]
CMD ["a"]
HEALTHCHECK NONE

FROM base
ENTRYPOINT ["/two"]
CMD ["b"]
HEALTHCHECK CMD ["/check"]
