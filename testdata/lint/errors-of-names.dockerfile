FROM scratch as base
COPY --from=7 a b
CMD here
