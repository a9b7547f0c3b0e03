#: build-arg SOURCE_DATE_EPOCH=yesterday
FROM scratch
