FROM scratch AS locks
FROM scratch
DEPS python --python=3.11 --from=lock requirements.txt
DEPS apt --from=locks python3
FROM scratch AS lock
