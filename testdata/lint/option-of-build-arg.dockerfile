#: build-arg BUILDKIT_DOCKERFILE_CHECK=error=perhaps
#
FROM scratch AS base
