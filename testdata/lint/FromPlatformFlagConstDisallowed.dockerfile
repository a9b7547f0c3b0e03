FROM --platform=linux/amd64 alpine AS build
FROM --platform=linux/amd64 alpine
