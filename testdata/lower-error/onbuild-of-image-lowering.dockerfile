#: image app {"OnBuild": ["COPY a b /c", "STOPSIGNAL nothing"]}
FROM app
