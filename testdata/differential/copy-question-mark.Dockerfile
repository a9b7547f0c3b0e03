FROM scratch
COPY files/? /dst/
