#: image app {"Volumes": {"/base": {}}}
FROM app
VOLUME /a /b$NOTHING
VOLUME ["/c d"]
STOPSIGNAL SIGRTMIN+3
STOPSIGNAL 9
