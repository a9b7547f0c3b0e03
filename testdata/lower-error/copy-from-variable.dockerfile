ARG STAGE=a
FROM scratch AS a
FROM scratch
COPY --from=$STAGE / /
