FROM scratch AS base
COPY --parents ./x/a.txt y/./b/*.txt /parents/
COPY --parents . ./ /all/
COPY --parents=false a /

FROM scratch
ARG DIR=lib
WORKDIR /app
COPY --parents --chown=1:2 --chmod=640 --from=base /usr/$DIR/./**/x /../a/./../b/ .
