FROM busybox
ENTRYPOINT ["echo"]
CMD ["hello"]
