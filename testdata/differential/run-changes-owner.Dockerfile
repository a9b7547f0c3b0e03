FROM busybox
RUN touch /x && mkdir /d
RUN chown 12:34 /x && chown app:app /d
