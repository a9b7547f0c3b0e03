# check=experimental=InvalidDefinitionDescription

# foo is what it is about
ARG foo=bar
# base is where it starts
FROM scratch AS base
# b is one of them
ARG a=1 b=2
# This is about nothing below.
#
ARG c
