FROM scratch
HEALTHCHECK --interval=1500ms CMD ["/check", "me"]
