FROM debian
RUN plain   "quoted $VAR"  # not a comment
RUN ["exec", "$form", "a b"]
RUN first && \
    # comment
    second
run lower
