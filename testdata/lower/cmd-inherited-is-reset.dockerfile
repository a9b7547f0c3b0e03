#: image app {"Cmd": ["old"]}
FROM app
ENTRYPOINT ["/bin/app"]
