#: image app {"OnBuild": ["COPY --from=Build x /", "COPY a b /c"]}
FROM app
