#: platform linux/amd64
#: platform linux/arm64
#: ignore *.md
#: ignore !README.md
FROM scratch
COPY . /
COPY a /b
