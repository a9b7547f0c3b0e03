#: context files files
FROM scratch
DEPS python --python=3.11 --build-sdist --build-from=files requirements.txt
