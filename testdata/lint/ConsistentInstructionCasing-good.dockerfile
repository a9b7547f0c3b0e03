from scratch
copy a /a
workdir /w
