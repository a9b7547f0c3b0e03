#: ignore *
#
FROM scratch
COPY . /
COPY /from-the-root /
