# syntax=docker/dockerfile:1
# check=skip=FromAsCasing, nothing-behind-a-blank;error=true
FROM scratch as base
copy a /a
