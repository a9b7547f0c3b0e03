FROM scratch AS a
CMD ["x"]
FROM a
ENTRYPOINT start me
