FROM --platfrom=linux/amd64 scratch
COPY --form=build a b
COPY --from a b
COPY --from=a --from=b c d
COPY --link=maybe a b
COPY \
  # a comment in between
  --parent a b
ADD --from=build a b
CMD --flag x
RUN --help
