# check=all
FROM scratch AS base
