FROM scratch
COPY --exclude=*.md . /
COPY --parents a/b /
ADD --exclude=x . /
