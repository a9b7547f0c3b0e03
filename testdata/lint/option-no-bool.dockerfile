# check=error=yes
FROM scratch AS base
