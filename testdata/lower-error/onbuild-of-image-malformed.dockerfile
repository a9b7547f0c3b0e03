#: image app {"OnBuild": ["RUN a\nRUN b"]}
FROM app
