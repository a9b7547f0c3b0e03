#: image base {"OnBuild": ["RUN --mount=from=tool,target=/tool make"]}
#: image tool {}
FROM base
