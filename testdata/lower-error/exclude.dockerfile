FROM scratch
COPY --exclude=*.md --exclude=[ . /
ADD --exclude=! . /
