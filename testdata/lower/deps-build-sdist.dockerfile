#: platform linux/amd64
#: platform linux/arm64
FROM --platform=$BUILDPLATFORM debian AS tools
ENV CC=gcc QUIET=0

FROM debian
ENV APP=1
DEPS python --python=3.11 --build-sdist requirements.txt
DEPS python --python=3.11 --build-sdist=source --build-from=tools requirements.txt
# deps: python --python=3.11 --build-sdist --build-from=other/image requirements.txt
RUN pip install -r requirements.txt
