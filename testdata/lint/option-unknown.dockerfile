# check=skpi=all
FROM scratch AS base
MAINTAINER me
