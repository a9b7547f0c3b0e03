#: target 0
FROM later
RUN x
FROM scratch AS later
FROM 0
