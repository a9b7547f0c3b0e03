FROM scratch
MAINTAINER Ada <ada@example.org>
LABEL one=1 two="2 3" "three four"='x y'
LABEL one=overwritten
ENV A=1 B="two words" C=$A
ENV legacy some  words here
ARG X=1
ARG Y
EXPOSE 8080 53/udp 80 8000-8002
VOLUME /data /other
VOLUME ["/json path", "/data"]
USER 1000:100
STOPSIGNAL SIGQUIT
WORKDIR /w
WORKDIR sub/../deep
SHELL ["/bin/ash", "-e", "-c"]
