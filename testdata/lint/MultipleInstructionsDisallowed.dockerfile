FROM scratch
ENTRYPOINT ["/one"]
CMD ["a"]
HEALTHCHECK CMD ["/check"]
ENTRYPOINT ["/two"]
CMD ["b"]
HEALTHCHECK NONE
CMD ["c"]
