FROM busybox AS one
CMD ["a"]
FROM one
ENTRYPOINT ["b"]
