FROM scratch AS none
HEALTHCHECK NONE
FROM none
HEALTHCHECK --interval=5m --timeout=1.5s --retries=3 --start-period=10s --start-interval=500ms CMD curl -f localhost
HEALTHCHECK CMD ["/check", "it"]
