#: platform linux/arm64
#
FROM registry.example/tool:1
