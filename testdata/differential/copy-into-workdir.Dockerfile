FROM scratch
WORKDIR /app
COPY files/a .
COPY files/b ./sub/
