FROM scratch
ENTRYPOINT ["/bin/x", "a b", "q\"uote"]
CMD ["one", "é"]
