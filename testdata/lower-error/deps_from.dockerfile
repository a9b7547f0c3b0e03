FROM scratch AS locks
FROM scratch
DEPS python --from=locks requirements.txt
