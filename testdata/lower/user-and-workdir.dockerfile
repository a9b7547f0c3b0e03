#: image app {"User": "web", "WorkingDir": "srv/"}
FROM app
RUN in base folder
WORKDIR data
USER 1000:staff
WORKDIR /abs/../x/
WORKDIR ..
WORKDIR /
USER "$NOBODY"
WORKDIR /root
RUN true
