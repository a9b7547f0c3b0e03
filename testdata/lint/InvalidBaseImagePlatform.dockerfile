#: platform linux/arm64
#: image-platform registry.example/tool:1 linux/amd64
#
FROM registry.example/tool:1
