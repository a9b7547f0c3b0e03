FROM alpine AS files
ARG DIR_ASSETS=assets
COPY $DIR_ASSET ${nothing:-x} /srv/$nothing/
COPY <<END /etc/motd
hello $name
END
ADD --chown=$owner a /a
ENV PATH=$PAHT:/opt/bin GREETING="hi $who"
LABEL by=$author
USER $user
VOLUME /data/$volume
WORKDIR /$dir
STOPSIGNAL ${signal:-9}
ARG LATE=$early
RUN echo $a_shell_variable
CMD ["$neither"]
