#: image app {"Cmd": ["old"], "Entrypoint": ["older"], "Env": ["PATH=/bin"]}
FROM app AS exec
ENTRYPOINT ["/bin/app", "--verbose"]
FROM exec AS args
CMD ["a", "say \"hi\""]
FROM args
ENTRYPOINT exec app
CMD run me
