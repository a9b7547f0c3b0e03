# check=skip=all
#: build-arg BUILDKIT_DOCKERFILE_CHECK=skip=ConsistentInstructionCasing;error=true
#
FROM scratch as base
copy a /a
