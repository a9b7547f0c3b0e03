# check=error=true
FROM scratch AS base
