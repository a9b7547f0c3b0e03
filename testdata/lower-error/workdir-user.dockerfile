FROM debian
USER a:b:c
WORKDIR /x
