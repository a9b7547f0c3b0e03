#: image app {"OnBuild": ["ARG MODE=fast", "COPY --from=tools /t /t", "RUN make $MODE", "RUN <<EOF\nbody\nEOF"], "Env": ["PATH=/bin"]}
FROM app AS build
RUN after
FROM build
RUN not again
