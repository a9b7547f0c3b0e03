FROM alpine AS files
ARG DIR_ASSETS
ARG VERSION=1
ENV NAME=world
COPY $DIR_ASSETS /srv/$VERSION/
COPY <<END /etc/motd
hello $NAME
END
COPY <<"END" /etc/quoted
hello $nobody
END
ENV PATH=$PATH:/opt/bin SINGLE='$quoted' ESCAPED=\$escaped

FROM files
LABEL version=$VERSION
RUN echo $anything
