FROM scratch AS one
DEPS python --build-sdist --build-from=two requirements.txt
DEPS python --build-from=one requirements.txt
FROM scratch AS two
