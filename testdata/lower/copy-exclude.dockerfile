FROM scratch
ARG X=x
COPY --exclude=*.md --exclude=!README.md --exclude=$X . /
ADD --exclude=**/*.tmp --unpack=false a.tar b/ /
COPY --parents --exclude=a/b a /
