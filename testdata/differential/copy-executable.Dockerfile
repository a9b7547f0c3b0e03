FROM scratch
COPY files/run.sh /run.sh
