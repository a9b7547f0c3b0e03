#!/usr/bin/env flashbuild
# Escape = `
# check=skip=all
# syntax=docker/dockerfile:1
FROM scratch
COPY a `
 b
