#: image app {"Env": ["Z=1", "PATH=/bin", "A=2", "EMPTY", "TWICE=a=b"]}
FROM app
ENV A=3 N=4
RUN env
