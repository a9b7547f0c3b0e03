#: image app {"Cmd": ["old"]}
FROM app
CMD ["new"]
ENTRYPOINT ["/bin/app"]
