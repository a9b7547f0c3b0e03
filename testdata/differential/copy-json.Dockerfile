FROM scratch
COPY ["files/with space", "/dst/with space"]
