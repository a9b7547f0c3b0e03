FROM scratch
DEPS python --python=3.11 --from=scratch requirements.txt
