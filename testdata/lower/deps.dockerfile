#: platform linux/amd64
#: platform linux/arm64
FROM debian
ARG PREFIX=/opt/venv
DEPS python --python=3.11 --prefix=$PREFIX --extra=a --extra=b requirements.txt
COPY app.py /app/
