FROM busybox
RUN echo a > /a && \
    # a comment
    echo b > /b
